"""Previews of a medium: a small still, and the peaks of its sound.

ffmpeg decodes both in a process of its own, so that a damaged file harms nothing else.
"""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path

import numpy as np

from kb.media import ffmpeg
from kb.media.low_priority import low_priority

STILL_PIXELS = (192, 108)
STILL_S, PEAKS_S = 30.0, 900.0  # limits of the time that each may take
PEAKS = 1_000  # bars of a waveform
_RATE = 8_000  # samples a second are enough for a drawing
_BIN = _RATE // 20  # samples of the first reduction: 50 ms
_BLOCK = 2 * _BIN * 200


def still(source: Path, at_s: float) -> bytes:
    """Return the picture at a second as a small JPEG.

    Empty for a medium without a picture there. Raises UsageError without ffmpeg.
    """
    width, height = STILL_PIXELS
    scale = f"scale={width}:{height}:force_original_aspect_ratio=increase,crop={width}:{height}"
    command = [
        ffmpeg.binary(), "-v", "error", "-nostdin", "-ss", f"{at_s:.3f}", "-i", str(source),
        "-map", "0:V:0", "-frames:v", "1", "-vf", scale, "-q:v", "6", "-f", "mjpeg", "pipe:1",
    ]  # fmt: skip
    found = _output(command, STILL_S)
    return found if found.startswith(b"\xff\xd8") else b""


def peaks(source: Path) -> bytes:
    """Return the peaks of the first sound track as JSON: `duration_s` and `peaks`, each 0..100.

    The times are those of the container. Empty for a medium without sound. Raises UsageError
    without ffmpeg.
    """
    command = [
        ffmpeg.binary(), "-v", "error", "-nostdin", "-i", str(source), "-map", "0:a:0",
        "-af", "aresample=async=1:first_pts=0", "-ac", "1", "-ar", str(_RATE), "-f", "s16le",
        "pipe:1",
    ]  # fmt: skip
    found = _reduced(command)
    if not found.size:
        return b""
    duration_s = found.size * _BIN / _RATE
    bars = min(PEAKS, found.size)
    edges = np.linspace(0, found.size, bars, endpoint=False).astype(int)
    loudest = np.maximum.reduceat(found, edges).astype(float)
    top = float(loudest.max()) or 1.0
    shown_peaks = np.rint(100 * np.sqrt(loudest / top)).astype(int)  # quiet speech stays visible
    document = {"duration_s": round(duration_s, 3), "peaks": shown_peaks.tolist()}
    return json.dumps(document, separators=(",", ":")).encode()


def _reduced(command: list[str]) -> np.ndarray:
    """Return the greatest amplitude of each 50 ms of the output of ffmpeg."""
    with low_priority():
        process = ffmpeg.start(command, messages=False)
    stop = threading.Timer(PEAKS_S, process.kill)
    stop.daemon = True
    stop.start()
    parts, rest = [], b""
    try:
        assert process.stdout is not None
        while block := process.stdout.read(_BLOCK):
            rest += block
            whole = len(rest) // (2 * _BIN) * 2 * _BIN
            samples = np.frombuffer(rest[:whole], "<i2").astype(np.int32)
            parts.append(np.abs(samples).reshape(-1, _BIN).max(axis=1))
            rest = rest[whole:]
    finally:
        stop.cancel()
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
    return np.concatenate(parts) if parts else np.zeros(0, np.int32)


def _output(command: list[str], limit_s: float) -> bytes:
    """Return what ffmpeg writes within a time; empty if it takes longer."""
    with low_priority():
        process = ffmpeg.start(command, messages=False)
    try:
        found, _ = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return b""
    return found
