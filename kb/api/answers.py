"""A transcript as the bodies of OpenAI's service, with what only this server knows in `kb`."""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from typing import Any

from starlette.responses import JSONResponse, PlainTextResponse, Response

from kb.api import speakers
from kb.api.fields import TranscriptionFields, TranslationFields
from kb.service import Service
from kb.types import Transcript

LEAST_CHANCE = 1e-10
_TYPES = {"text": "text/plain", "srt": "application/x-subrip", "vtt": "text/vtt"}


def facts(transcript: Transcript, took_s: float, *, cached: bool) -> dict[str, Any]:
    """Return the figures of a transcript's quality and cost; times in seconds."""
    coverage, timing, serving = transcript.coverage, transcript.timing, transcript.serving
    queue_s = serving.queue_s + max(0.0, took_s - timing.total_s)
    return {
        "grade": transcript.grade,
        "coverage": round(coverage.ratio, 4),
        "speech_s": round(coverage.speech_s, 3),
        "gaps": [[round(gap.start_s, 3), round(gap.end_s, 3)] for gap in coverage.gaps],
        "doubtful": [[round(s.start_s, 3), round(s.end_s, 3)] for s in transcript.doubtful_spans],
        "engine": transcript.engine,
        "model": transcript.model,
        "device": serving.device,
        "language_probability": serving.language_probability,
        "queue_s": round(queue_s, 3),
        "decode_s": round(timing.asr_s, 3),
        "took_s": round(took_s, 3),
        "warnings": list(transcript.warnings),
        "cached": cached,
    }


def verbose(
    service: Service, transcript: Transcript, granularities: Collection[str]
) -> dict[str, Any]:
    """Return the body of verbose_json with the parts that were asked for: segments by default."""
    found: dict[str, Any] = json.loads(service.items.render(transcript, "verbose_json"))
    words = found.pop("words")
    for segment in found["segments"]:
        segment.pop("words", None)
    if granularities and "segment" not in granularities:
        del found["segments"]
    if "word" in granularities:
        found["words"] = words
    found["usage"] = {"type": "duration", "seconds": found["duration"]}
    return found


def logprobs(transcript: Transcript) -> list[dict[str, Any]]:
    """Return the tokens with their log-probabilities.

    A segment whose text is not that of its tokens has its words instead (a place that was read
    again, a model without tokens), each with the mean of its tokens.
    """
    found: list[tuple[bytes, float]] = []
    for segment in transcript.segments:
        decoding = segment.decoding
        if decoding is not None and decoding.token_bytes:
            found += zip(decoding.token_bytes, decoding.logprobs, strict=True)
        else:
            found += [
                (f" {word.text}".encode(), math.log(max(word.probability, LEAST_CHANCE)))
                for word in segment.words
            ]
    return [
        {
            "token": data.decode("utf-8", "replace"),
            "bytes": list(data),
            "logprob": round(min(value, 0.0), 6),
        }
        for data, value in found
    ]


def body(
    service: Service, transcript: Transcript, fields: TranscriptionFields | TranslationFields
) -> dict[str, Any] | str:
    """Return the body of an answer: a document of JSON, or a text."""
    form = fields.response_format
    if form in ("srt", "vtt"):
        return service.items.render(transcript, form)
    whole = fields if isinstance(fields, TranscriptionFields) else None
    found = verbose(service, transcript, whole.timestamp_granularities if whole else ())
    if form == "diarized_json":
        kept = {name: found[name] for name in ("task", "duration", "text", "usage")}
        return {**kept, "segments": speakers.segments(transcript)}
    if form == "text":
        return f"{found['text']}\n"
    if whole is None:
        english = {"task": "translate", "language": "english"}
        return {**found, **english} if form == "verbose_json" else {"text": found["text"]}
    if form == "verbose_json":
        return found
    code = transcript.language
    languages = {"languages": [{"code": code}]} if found["text"] else {}
    chances = {"logprobs": logprobs(transcript)} if whole.include else {}
    return {"text": found["text"], **languages, **chances, "usage": found["usage"]}


def response(
    service: Service,
    transcript: Transcript,
    fields: TranscriptionFields | TranslationFields,
    known: dict[str, Any],
) -> Response:
    """Return the answer in one of the formats; `known` are the facts of the transcript."""
    found = body(service, transcript, fields)
    headers = {"kb-grade": known["grade"], "kb-coverage": str(known["coverage"])}
    if isinstance(found, str):
        return PlainTextResponse(found, headers=headers, media_type=_TYPES[fields.response_format])
    return JSONResponse({**found, "kb": known}, headers=headers)


def done_event(
    service: Service, transcript: Transcript, fields: TranscriptionFields, known: dict[str, Any]
) -> dict[str, Any]:
    """Return the last event of a stream: its text is that of the answer without a stream.

    It has no usage: the client takes only one in tokens here.
    """
    found = body(service, transcript, fields)
    more = {"text": found} if isinstance(found, str) else found
    # The segments of a diarized answer have had events of their own.
    left_out = ("usage", "segments") if fields.response_format == "diarized_json" else ("usage",)
    more = {name: value for name, value in more.items() if name not in left_out}
    return {"type": "transcript.text.done", **more, "kb": known}
