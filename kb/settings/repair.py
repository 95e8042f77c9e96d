"""Settings of quality checks (`kb/asr/quality/checks.py`) and of repair."""

from __future__ import annotations

from pydantic import Field

from kb.settings.part import SettingsPart
from kb.types.quality import LONGEST_UNCOVERED_S


class RepairSettings(SettingsPart):
    """Settings of quality checks (`kb/asr/quality/checks.py`) and of repair."""

    suspect_uncovered_s: float = Field(
        LONGEST_UNCOVERED_S,
        alias="KB_SUSPECT_UNCOVERED_S",
        gt=0,
        description="Suspect: more seconds of detected speech in a row without a word.",
    )
    suspect_stretched_s: float = Field(
        0.3,
        alias="KB_SUSPECT_STRETCHED_S",
        gt=0,
        description="Suspect: a word so many seconds longer than its letters at the item's pace;"
        " three fifths of it count where the word's probability is below 0.95.",
    )
    suspect_stutter_s: float = Field(
        0.06,
        alias="KB_SUSPECT_STUTTER_S",
        ge=0,
        description="Suspect: a word of four letters or more in at most so many seconds.",
    )
    suspect_compression: float = Field(
        2.4,
        alias="KB_SUSPECT_COMPRESSION",
        gt=1,
        description="Suspect: text that zlib shrinks by more than this factor.",
    )
    suspect_repeats: int = Field(
        3,
        alias="KB_SUSPECT_REPEATS",
        ge=2,
        description="Suspect: a phrase so many times in a row (a single word two more).",
    )
    suspect_words_per_s: float = Field(
        6.0,
        alias="KB_SUSPECT_WORDS_PER_S",
        gt=0,
        description="Suspect: more words a second of speech (four in a row: twice as many).",
    )
    suspect_words_per_s_least: float = Field(
        0.3,
        alias="KB_SUSPECT_WORDS_PER_S_LEAST",
        ge=0,
        description="Suspect: fewer words a second, where there are 5 s of speech or more.",
    )
    suspect_logprob: float = Field(
        -1.0,
        alias="KB_SUSPECT_LOGPROB",
        le=0,
        description="Suspect: a lower mean log-probability of the window's tokens.",
    )
    suspect_no_speech: float = Field(
        0.6,
        alias="KB_SUSPECT_NO_SPEECH",
        ge=0,
        le=1,
        description="Suspect: a higher no-speech probability where speech was detected.",
    )
    suspect_silent_s: float = Field(
        0.3,
        alias="KB_SUSPECT_SILENT_S",
        gt=0,
        description="Suspect: more seconds of words in a row where no speech was detected.",
    )
    suspect_language: float = Field(
        0.9,
        alias="KB_SUSPECT_LANGUAGE",
        ge=0,
        le=1,
        description="Suspect: a window as likely as this in another language than the item's.",
    )
    suspect_backwards_s: float = Field(
        0.1,
        alias="KB_SUSPECT_BACKWARDS_S",
        gt=0,
        description="Suspect: times that run back, or past the window, by more seconds.",
    )
    repair_share: float = Field(
        0.3,
        alias="KB_REPAIR_SHARE",
        ge=0,
        le=10,
        description="Decoding suspect windows again may cost this share of the first decoding; "
        "0 disables it. Counted over a run, with seven windows in advance; a third of it is for "
        "single words alone.",
    )
    repair_temperatures: str = Field(
        "0.2,0.6",
        alias="KB_REPAIR_TEMPERATURES",
        pattern=r"^\s*(\d+(\.\d+)?(\s*,\s*\d+(\.\d+)?)*)?\s*$",
        description="Temperatures at which a suspect window is decoded again, one after another.",
    )
    repair_beams: int = Field(
        5,
        alias="KB_REPAIR_BEAMS",
        ge=1,
        le=20,
        description="Beams with which a suspect window is decoded again; 1 leaves that out.",
    )
    repair_engine: str = Field(
        "",
        alias="KB_REPAIR_ENGINE",
        pattern=r"^(|[^\s:]+:\S+)$",
        description="Another recognizer for windows that stay suspect, as engine:model, such as "
        "whisper:openai/whisper-large-v3; empty takes none. It stays loaded beside the first.",
    )
    witness_below: float = Field(
        0.5,
        alias="KB_WITNESS_BELOW",
        ge=0,
        le=1,
        description="A minute in which transcript and people's captions share less of their "
        "words is doubtful; 0 for never.",
    )
