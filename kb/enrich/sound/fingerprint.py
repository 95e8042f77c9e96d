"""The fingerprint of a medium's sound: 32-bit numbers by ffmpeg's chromaprint muxer, 8 a second.

An item describes about 2.7 s of sound from its place on, and hardly changes when the sound is
encoded again, is quieter, or has lost its low frequencies.
"""

from __future__ import annotations

import base64
import re
import subprocess
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kb.errors import Cancelled, KBError, LibraryError, MediaUnavailable, ModelUnavailable
from kb.media import ffmpeg, shown
from kb.media.probe import probe

MODEL = "chromaprint 1"  # algorithm number 1 of the library
RATE_HZ = 11_025
HOP_S = 1365 / RATE_HZ  # 8.0769 items a second
REACH_S = 2.7  # sound that one item depends on
SILENCE_DB = -55  # quieter sound is no evidence of the same sound
SILENCE_S = 0.4
_BLOCK = 32_768  # samples
_POLL_S = 0.5
_MESSAGE_LENGTH = 2000  # characters of ffmpeg's messages that an error keeps
_SILENCE = re.compile(r"silence_(start|end): (-?[0-9.e+-]+)")

Items = npt.NDArray[np.uint32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Fingerprint:
    """The items of one medium, and which of them are heard: not near-silence, not repeated."""

    items: Items
    heard: Mask
    duration_s: float

    def seconds(self, first: int, last: int) -> tuple[float, float]:
        """Return the time of the places of two items."""
        return first * HOP_S, last * HOP_S


@cache
def has_muxer() -> bool:
    """Return True if ffmpeg has the chromaprint muxer."""
    try:
        command = [ffmpeg.binary(), "-hide_banner", "-muxers"]
        found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.SubprocessError, KBError):
        return False
    return " chromaprint " in found.stdout


def missing() -> KBError:
    """Return the error of a machine whose ffmpeg lacks the muxer."""
    return ModelUnavailable(
        "sound.no_muxer",
        "This ffmpeg has no chromaprint: the same sound is not found again, only equal files are.",
        hint="Install the bundled one again: pip install --force-reinstall imageio-ffmpeg",
    )


def fingerprint(
    path: Path, *, track: int | None = None, is_wanted: Callable[[], bool] = lambda: True
) -> Fingerprint:
    """Return the fingerprint of a medium's sound track, the first one without a number.

    That of a video without sound has no item.

    Raises MediaUnavailable for a medium that cannot be decoded, Cancelled once `is_wanted` returns
    False, and UsageError if ffmpeg cannot be started.
    """
    # Gaps in the time stamps become silence, so that places are times of the medium.
    chain = (
        f"aresample={RATE_HZ}:async=1:first_pts=0,"
        f"asetnsamples=n={_BLOCK}:p=0,"  # few large blocks: less time between ffmpeg's threads
        f"silencedetect=noise={SILENCE_DB}dB:duration={SILENCE_S}"
    )
    command = [
        ffmpeg.binary(), "-hide_banner", "-nostdin", "-nostats", "-threads", "1",
        "-i", str(path), "-map", f"0:a:{(track or 1) - 1}", "-af", chain, "-ac", "1",
        "-f", "chromaprint", "-fp_format", "raw", "pipe:1",
    ]  # fmt: skip
    process = ffmpeg.start(command)
    try:
        while True:
            try:
                output, errors = process.communicate(timeout=_POLL_S)
                break
            except subprocess.TimeoutExpired:
                if not is_wanted():
                    raise Cancelled(
                        "step.cancelled", "Cancelled; nothing half written is left."
                    ) from None
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    messages = errors.decode(errors="replace")
    if process.returncode and not probe(path).has_audio:
        return Fingerprint(np.empty(0, np.uint32), np.empty(0, np.bool_), 0.0)
    if process.returncode:
        raise MediaUnavailable(
            "sound.not_decodable",
            "ffmpeg cannot make a fingerprint of {path}: {cause}.",
            hint="Play the file to see whether it is damaged; its words do not depend on this.",
            path=shown(path),
            cause=(messages.strip().splitlines() or ["no reason given"])[-1][-_MESSAGE_LENGTH:],
        )
    items = np.frombuffer(output[: len(output) // 4 * 4], "<u4").astype(np.uint32)
    silent = _silences(messages)
    seconds = items.size * HOP_S + REACH_S if items.size else 0.0
    return Fingerprint(items, _heard(items, silent), seconds)


def _silences(messages: str) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    start_s: float | None = None
    for kind, value in _SILENCE.findall(messages):
        if kind == "start":
            start_s = float(value)
        elif start_s is not None:
            found.append((start_s, float(value)))
            start_s = None
    if start_s is not None:
        found.append((start_s, float("inf")))
    return found


def _heard(items: Items, silent: list[tuple[float, float]]) -> Mask:
    heard = np.ones(items.size, np.bool_)
    heard[1:] &= items[1:] != items[:-1]  # a held note, a hum
    for start_s, end_s in silent:
        # An item whose first second is silent is made of that silence and of little else.
        first, last = int(np.ceil(start_s / HOP_S)), (end_s - 1.0) / HOP_S
        heard[max(0, first) : max(0, int(min(last, items.size)))] = False
    return heard


def to_document(found: Fingerprint) -> dict[str, Any]:
    """Return a fingerprint as JSON values."""
    items = found.items.astype("<u4")
    # Neighbours have most bits in common.
    items[1:] = found.items[1:] ^ found.items[:-1]
    packed = [
        zlib.compress(data, 6) for data in (items.tobytes(), np.packbits(found.heard).tobytes())
    ]
    return {
        "items": int(found.items.size),
        "duration_s": round(found.duration_s, 2),
        "fingerprint": base64.b64encode(packed[0]).decode(),
        "heard": base64.b64encode(packed[1]).decode(),
    }


def from_document(document: Mapping[str, Any]) -> Fingerprint:
    """Return the fingerprint of a document. Raises LibraryError for a damaged one."""
    try:
        count = int(document["items"])
        texts = str(document["fingerprint"]), str(document["heard"])
        data = [zlib.decompress(base64.b64decode(text, validate=True)) for text in texts]
        differences = np.frombuffer(data[0], "<u4").astype(np.uint32)
        bits = np.frombuffer(data[1], np.uint8)
        if differences.size != count or bits.size != -(-count // 8):
            raise ValueError("sizes differ")
        heard = np.unpackbits(bits, count=count).astype(np.bool_)
        items = np.bitwise_xor.accumulate(differences) if count else differences
        return Fingerprint(items, heard, float(document["duration_s"]))
    except (KeyError, TypeError, ValueError, OverflowError, zlib.error) as error:
        raise LibraryError(
            "sound.damaged",
            "The fingerprint of {item_id} is damaged.",
            hint="Make it again: kb enrich {item_id} --steps sound --again",
            item_id=document.get("id", ""),
        ) from error
