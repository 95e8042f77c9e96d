"""Speaks with espeak-ng's library in a process of its own; it is run as a script, never imported.

Each line of the input is a JSON object: `{"voices": true}`, or `{"text", "voice", "rate"}`. The
answer is a line of JSON with `bytes`, `rate` or `error`, and then so many bytes: the samples of one
channel of 16 bits, or for `voices` a JSON list of `[name, [languages]]`.
"""

import ctypes
import json
import os
import queue
import sys
import threading
from collections.abc import Iterator
from typing import Any

import espeakng_loader

RETRIEVAL, UTF8, RATE = 1, 1, 1
Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


class Voice(ctypes.Structure):
    """The head of `espeak_VOICE`."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.POINTER(ctypes.c_char)),
        ("identifier", ctypes.c_char_p),
    )


def languages_of(voice: Any) -> list[str]:
    """Return the codes of a voice: bytes of a priority, each before a text that ends with zero."""
    found, at, field = [], 0, voice.languages
    while field[at] != b"\0":
        code, at = b"", at + 1
        while field[at] != b"\0":
            code, at = code + field[at], at + 1
        found.append(code.decode("ascii", "replace"))
        at += 1
    return found


def voices(library: Any) -> bytes:
    """Return name and languages of each voice that has a language."""
    listed, number = library.espeak_ListVoices(None), 0
    found = []
    while listed[number]:
        voice = listed[number].contents
        codes = languages_of(voice)
        if codes and b"mb/" not in (voice.identifier or b""):
            found.append([(voice.name or b"").decode("utf-8", "replace"), codes])
        number += 1
    return json.dumps(found).encode()


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
    """Answer line after line until the input ends."""
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(Voice))
    data = espeakng_loader.get_data_path().encode()
    rate_hz = library.espeak_Initialize(RETRIEVAL, 0, data, 0)
    if rate_hz <= 0:
        sys.exit("espeak-ng does not start")
    spoken = bytearray()

    def collect(samples: Any, count: int, _events: Any) -> int:
        if samples and count:
            spoken.extend(ctypes.string_at(samples, 2 * count))
        return 0

    callback = Callback(collect)
    library.espeak_SetSynthCallback(callback)
    answer = sys.stdout.buffer
    for request in requests():
        spoken.clear()
        head = {"rate": rate_hz}
        if request.get("voices"):
            spoken.extend(voices(library))
        elif library.espeak_SetVoiceByName(request["voice"].encode()):
            head["error"] = "it has no such voice"
        else:
            library.espeak_SetParameter(RATE, int(request["rate"]), 0)
            text = request["text"].encode()
            # The size counts the zero at the end; the flag is UTF-8 alone: no markup, no phonemes.
            library.espeak_Synth(text, len(text) + 1, 0, 1, 0, UTF8, None, None)
            library.espeak_Synchronize()
        answer.write(json.dumps({**head, "bytes": len(spoken)}).encode() + b"\n")
        answer.write(spoken)
        answer.flush()


main()
