"""Texts of every error by its code: the German, and the English where the page's differs.

The English stands at the raise (see `kb.errors`). A text here has exactly the fields of its
English; a test compares them. `EN_PAGE` is for sentences that name something of the command
line which has another name on the page. An option (such as --batch-size) outside of a whole command
becomes the label of its field by itself.
"""

from __future__ import annotations

from types import ModuleType

from kb.ui.i18n import (
    errors_care,
    errors_checks,
    errors_jobs,
    errors_llm,
    errors_media,
    errors_models,
    errors_recognition,
    errors_service,
    errors_sinks,
    errors_sources,
    errors_speech,
    errors_storage,
    errors_translation,
    errors_video,
)

FAMILIES: tuple[ModuleType, ...] = (
    errors_sources,
    errors_sinks,
    errors_media,
    errors_recognition,
    errors_models,
    errors_care,
    errors_checks,
    errors_jobs,
    errors_llm,
    errors_storage,
    errors_translation,
    errors_service,
    errors_video,
    errors_speech,
)

DE: dict[str, tuple[str, str]] = {
    code: texts for family in FAMILIES for code, texts in family.DE.items()
}
EN_PAGE: dict[str, tuple[str, str]] = {
    code: texts for family in FAMILIES for code, texts in family.EN_PAGE.items()
}
BY_LANGUAGE = {"en": EN_PAGE, "de": DE}
