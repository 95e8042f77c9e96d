"""Settings of translations: the languages, the way, the model on this machine."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from kb.settings.part import SettingsPart


class TranslationSettings(SettingsPart):
    """Settings of translations. Nothing is translated until the step is asked for."""

    @property
    def published_languages(self) -> tuple[str, ...]:
        """The codes of `publish_translations`, each once."""
        codes = (each.strip().lower() for each in self.publish_translations.split(","))
        return tuple(dict.fromkeys(filter(None, codes)))

    translate_into: str = Field(
        "",
        alias="KB_TRANSLATE_INTO",
        max_length=200,
        description="Translation: languages that the step translate writes, such as de or de,fr.",
    )
    translate_via: Literal["llm", "local", "whisper"] = Field(
        "llm",
        alias="KB_TRANSLATE_VIA",
        description="Translation: by the language model of KB_LLM_URL (llm, which gets the "
        "transcript), by a model on this machine (local, KB_TRANSLATE_MODEL), or by Whisper's own "
        "translation of the sound (whisper, into English only).",
    )
    translate_model: str = Field(
        "",
        alias="KB_TRANSLATE_MODEL",
        max_length=500,
        description="Translation on this machine: folder or hub name of a model in CTranslate2's "
        "format: opus-mt (one pair of languages) or NLLB (200 languages). Mind its licence: NLLB "
        "is CC-BY-NC 4.0, which forbids commercial use, opus-mt CC-BY 4.0.",
    )
    publish_translations: str = Field(
        "",
        alias="KB_PUBLISH_TRANSLATIONS",
        max_length=200,
        description="Translation: languages whose translations go into the documents for remote "
        "knowledge bases too, such as de; empty publishes none.",
    )
