"""Speaks with a voice of piper in a process of its own; it is run as a script, never imported.

Each line of the input is a JSON object: `{"text", "voice", "scale", "speaker"}`, the voice being
the path of its `.onnx`. The answer is as that of `say_espeak.py`.
"""

import json
import os
import queue
import sys
import threading
from collections.abc import Iterator
from typing import Any

from piper import PiperVoice, SynthesisConfig


def requests() -> Iterator[dict[str, Any]]:
    """Yield the requests; at the end of the input the process ends, whatever it is doing."""
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def read() -> None:
        for line in sys.stdin.buffer:
            lines.put(line)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        yield json.loads(lines.get())


def main() -> None:
    """Answer line after line until the input ends; one voice is held at a time."""
    held, voice = "", None
    answer = sys.stdout.buffer
    sys.stdout = sys.stderr  # what a package prints is no part of an answer
    for request in requests():
        if voice is None or request["voice"] != held:
            voice, held = PiperVoice.load(request["voice"]), request["voice"]
        how = SynthesisConfig(length_scale=request["scale"], speaker_id=request.get("speaker"))
        spoken = b"".join(each.audio_int16_bytes for each in voice.synthesize(request["text"], how))
        head = {"rate": voice.config.sample_rate, "bytes": len(spoken)}
        answer.write(json.dumps(head).encode() + b"\n")
        answer.write(spoken)
        answer.flush()


main()
