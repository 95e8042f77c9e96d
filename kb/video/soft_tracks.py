"""Captions as a track of their own, which a player switches on; picture and sound are copied."""

from __future__ import annotations

from pathlib import Path

from kb import storage
from kb.errors import UsageError
from kb.media import shown
from kb.media.probe import input_arguments, probe, start_arguments
from kb.transcript import render
from kb.types import Transcript
from kb.video.captioned import MadeFilm, check_film_name
from kb.video.encoder import Progress, encode

_CAPTIONS = "captions.srt"
_CODECS = {".mkv": "subrip"}  # the other kinds take only this one:
_MOVIE_TEXT = "mov_text"
# Tracks name their language by the three letters of ISO 639-2.
_LANGUAGES = {
    "ar": "ara", "bg": "bul", "ca": "cat", "cs": "ces", "da": "dan", "de": "deu", "el": "ell",
    "en": "eng", "es": "spa", "et": "est", "fa": "fas", "fi": "fin", "fr": "fra", "he": "heb",
    "hi": "hin", "hr": "hrv", "hu": "hun", "id": "ind", "it": "ita", "ja": "jpn", "ko": "kor",
    "lt": "lit", "lv": "lav", "nl": "nld", "no": "nor", "pl": "pol", "pt": "por", "ro": "ron",
    "ru": "rus", "sk": "slk", "sl": "slv", "sr": "srp", "sv": "swe", "th": "tha", "tr": "tur",
    "uk": "ukr", "ur": "urd", "vi": "vie", "zh": "zho",
}  # fmt: skip


def track_language(language: str) -> str:
    """Return the name of a language in a track, `und` for one that is not known."""
    return _LANGUAGES.get(language[:2], "und")


def add_track(
    medium: Path,
    transcript: Transcript,
    draft: Path,
    *,
    target: Path,
    progress: Progress = lambda _: None,
) -> MadeFilm:
    """Write a copy of a medium with a track of captions to `draft`; errors name `target`.

    Raises as `kb.video.captioned.make_film` does.
    """
    check_film_name(target)
    found = probe(medium)
    captions = render(transcript, "srt")
    if not captions.strip():
        raise UsageError(
            "video.no_words",
            "The transcript of {name} has no words: there is nothing to draw.",
            hint="Listen to the medium; a video without speech needs no captions.",
            name=shown(medium.name),
        )
    length_s = found.duration_s or 0.0
    with storage.scratch_folder() as folder:
        storage.write_text(folder / _CAPTIONS, captions)
        arguments = [
            *input_arguments(found),
            *("-protocol_whitelist", "file", "-i", _CAPTIONS),
            *("-map", "0:V?", "-map", "0:a?", "-map", "1:s", "-c", "copy"),
            *("-c:s", _CODECS.get(target.suffix.lower(), _MOVIE_TEXT)),
            *("-metadata:s:s:0", f"language={track_language(transcript.language)}"),
            *("-disposition:s:0", "default", "-movflags", "+faststart"),
            *("-max_muxing_queue_size", "4096", f"file:{draft.absolute()}"),
            *start_arguments(found),
        ]
        encode(
            arguments, folder, source=medium, target=target, length_s=length_s, progress=progress
        )  # fmt: skip
    return MadeFilm(probe(draft).duration_s or 0.0)
