"""Every error in the source has a code, a literal sentence and a German one with its fields.

The source is read as a syntax tree: an error is found even where no test raises it.
"""

from __future__ import annotations

import re
import string
from functools import cache

from kb.errors import KBError, NestedText, render
from kb.ui.i18n import MESSAGES, error_messages, errors, page_places, page_steps
from tests.support.each_case import check_each
from tests.support.error_source import Raised, constructions

# Errors without a next step, each with the reason.
NO_HINT: dict[str, str] = {
    "recognizer.stopped": "a stop that was asked for",
    "recognizer.stopped_waiting": "a stop that was asked for",
    "recognizer.worker_stopping": "a stop that was asked for",
    "worker.stopping": "a stop that was asked for",
    "item.cancelled": "a stop that was asked for",
    "step.cancelled": "a stop that was asked for",
    "detection.stopped": "nobody waits for the answer",
    "item.cancelled_publish": "a stop that was asked for",
    "page.replaced": "never shown: another look took the place of this one",
    "page.nothing_taken": "nothing is wrong: the reason says where the medium is",
    "download.no_picture": "never shown: the caller takes it for an item without a picture",
    "lane.paused_by_hand": "a part of a sentence that has the next step",
    "note.being_written_followed": "a remark: the next look takes the files",
    "note.early_end": "a remark: the rest is known already, or older",
    "note.newest_uploads": "a remark: the sentence names the other way",
    "note.details_later": "a remark: the download brings them",
    "note.keys_used_up": "a remark: the download brings the details",
    "note.one_video": "a remark: the sentence names the other way",
    "transcript.segment_place": "a part of a sentence",
    "transcript.word_place": "a part of a sentence",
    "preset.overlap": "a part of a sentence",
    "preset.timestamps": "a part of a sentence",
    "preset.whole": "a part of a sentence",
    "preset.number": "a part of a sentence",
    "source.environment": "a part of a sentence",
    "source.file": "a part of a sentence",
    "source.unset": "a part of a sentence",
    "text.folder": "a part of a sentence",
    "text.no_file": "a part of a sentence",
    "text.too_large": "a part of a sentence",
    "text.binary": "a part of a sentence",
    "text.encoding": "a part of a sentence",
    "text.nested": "a part of a sentence",
    "action.write": "a part of a sentence",
    "action.read": "a part of a sentence",
    "action.remove": "a part of a sentence",
    "action.lock": "a part of a sentence",
    "action.use": "a part of a sentence",
}

# The same for codes with these beginnings.
NO_HINT_FAMILIES = {"clause.": "a part of a sentence", "device_step.": "the next step itself"}
# Checks of this machine that find nothing wrong.
WELL = frozenset(
    [
        "check.cookies",
        "check.cublas",
        "check.database",
        "check.database_copies",
        "check.detector",
        "check.disk",
        "check.downloads",
        "check.hardware",
        "check.hardware_reason",
        "check.index_stored",
        "check.keys",
        "check.library",
        "check.library_absent",
        "check.llm",
        "check.llm_absent",
        "check.meaning",
        "check.media_stored",
        "check.model_folder",
        "check.model_ready",
        "check.model_unverified",
        "check.odin",
        "check.odin_unused",
        "check.presets",
        "check.products",
        "check.program",
        "check.python",
        "check.server",
        "check.server_clock",
        "check.settings",
        "check.settings_ignored",
        "check.step_off",
        "check.step_on",
        "check.voices",
        "check.voices_absent",
        "check.voices_elsewhere",
        "check.worker",
        "check.ytdlp",
    ]
)


@cache
def found() -> tuple[Raised | str, ...]:
    # Not when the module is loaded: each test process loads it, and the whole source is read.
    return tuple(constructions())


@cache
def raised() -> tuple[Raised, ...]:
    return tuple(each for each in found() if isinstance(each, Raised))


def fields(template: str) -> frozenset[str]:
    """Return the field names in a template; for `{cause.hint}`, the name is `cause`."""
    names = (name for _, name, _, _ in string.Formatter().parse(template) if name is not None)
    return frozenset(name.split(".")[0].split("[")[0] for name in names)


def sample(name: str, templates: tuple[str, str], *, other: bool = False) -> object:
    """Return a value that fits the formats of a field, or a different such value."""
    for template in templates:
        for _, field, spec, _ in string.Formatter().parse(template):
            if field == name and spec and (spec[-1] in "fgedn%," or "|" in spec):
                return 5 if other else 2
            if field == name and spec in (", ", "; "):
                return ["<another>"] if other else ["<first>", "<then>"]
    return NestedText("<another>" if other else f"<{name}>", "<then>" if other else "<next>")


def test_every_error_is_literal_and_has_a_code() -> None:
    assert [each for each in found() if isinstance(each, str)] == []
    assert len(raised()) > 100


def test_a_code_is_dotted_and_stands_for_one_sentence() -> None:
    sentences: dict[str, set[tuple[str, str]]] = {}
    for each in raised():
        assert each.code.count(".") >= 1 and each.code == each.code.lower(), each.place
        sentences.setdefault(each.code, set()).add((each.template, each.hint))
    assert {code: found for code, found in sentences.items() if len(found) > 1} == {}


def test_the_german_table_has_exactly_the_codes() -> None:
    codes = {each.code for each in raised()}
    assert codes - set(errors.DE) == set()
    assert set(errors.DE) - codes == set()
    assert set(errors.EN_PAGE) - codes == set()


def test_no_code_has_two_german_texts() -> None:
    assert len(errors.DE) == sum(len(family.DE) for family in errors.FAMILIES)


def test_a_sentence_and_its_translations_show_every_value() -> None:
    check_each(raised(), every_value_is_shown, lambda each: each.code)


def every_value_is_shown(each: Raised) -> None:
    used = fields(each.template) | fields(each.hint)
    if each.values is not None:
        assert used == each.values, "a field has no value, or a value is not shown"
    texts = {"English": (each.template, each.hint)}
    for name, table in (("German", errors.DE), ("the page's English", errors.EN_PAGE)):
        if each.code not in table:
            continue
        message, hint = texts[name] = table[each.code]
        assert fields(message) == fields(each.template), name
        assert fields(hint) == fields(each.hint), name
    for name, templates in texts.items():
        values = {field: sample(field, templates) for field in used}
        shown = [render(template, values) for template in templates]
        for field in used:  # the text shows a value if another value changes it
            other = {**values, field: sample(field, templates, other=True)}
            assert [render(template, other) for template in templates] != shown, (name, field)


# Next steps about the file of settings itself, or about variables that no page sets.
ABOUT_THE_FILE = frozenset(
    [
        "model.cache_not_writable",
        "model.disk_full",
        "setting.misspelt",
        "setting.unknown",
        "setting.unknown_in_file",
        "setting.untrusted",
        "setting.untrusted_folder",
    ]
)


def test_a_next_step_of_the_page_names_no_file_of_settings() -> None:
    """The page has a field for a setting that can be changed there."""
    check_each(raised(), no_file_of_settings_is_named, lambda each: each.code)


def no_file_of_settings_is_named(each: Raised) -> None:
    if each.code in ABOUT_THE_FILE:
        assert ".env" in each.hint
        return
    english = errors.EN_PAGE.get(each.code, (each.template, each.hint))
    steps = (page_steps.EN.get(each.code, english[1]), errors.DE[each.code][1])
    assert all(".env" not in step for step in steps), steps


def test_a_refused_value_names_the_page_of_the_setting() -> None:
    unset = KBError("source.unset", "{name} in the environment or in .env", name="KB_HOLD_BELOW")
    error = KBError(
        "setting.value", "Setting {name}: {reason}.", hint="Correct {origin}; see .env.example.",
        name="KB_HOLD_BELOW", reason="too large", origin=unset,
    )  # fmt: skip
    found = [error_messages.translate_error(error, each).hint for each in ("en", "de")]
    assert found[0] == "Correct KB_HOLD_BELOW under Settings."
    assert found[1] == "KB_HOLD_BELOW unter Einstellungen berichtigen."


def test_a_next_step_of_the_page_names_no_command() -> None:
    """A library is indexed again by a command alone."""
    check_each(page_steps.EN, no_command_is_named)


def no_command_is_named(code: str) -> None:
    (hint,) = {each.hint for each in raised() if each.code == code}
    step = page_steps.EN[code]
    assert fields(step) == fields(hint) and ("kb " in hint or ".env" in hint)
    for shown in (step, errors.DE[code][1]):
        assert "kb " not in shown.replace("kb reindex", "")
    values = {field: sample(field, (step,)) for field in fields(step)}
    error = KBError(code, "A sentence.", hint="The command line's.", **values)
    assert error_messages.translate_error(error).hint not in ("", error.hint)
    if values:  # stored by a version whose sentence had other values
        stored = KBError(code, "A sentence.", hint="The command line's.")
        assert error_messages.translate_error(stored).hint == stored.hint


def test_a_sentence_has_a_next_step_in_both_languages() -> None:
    check_each(raised(), a_next_step_follows, lambda each: each.code)


def a_next_step_follows(each: Raised) -> None:
    assert each.template, each.place
    without = each.code in NO_HINT or each.code in WELL
    if without or each.code.startswith(tuple(NO_HINT_FAMILIES)):
        assert not each.hint, f"{each.code} has a hint and is listed without one"
        return
    assert each.hint, f"{each.place}: no next step, and no reason in NO_HINT"
    assert errors.DE[each.code][1]


def test_no_next_step_names_a_command_that_has_a_place() -> None:
    """Each error that the page can show, with its fields as they are."""
    check_each(raised(), no_command_with_a_place_is_left, lambda each: each.code)


def no_command_with_a_place_is_left(each: Raised) -> None:
    for hint in (page_steps.EN.get(each.code, each.hint), errors.DE[each.code][1]):
        shown = page_places.with_places(hint, MESSAGES["en"].__getitem__, each.code)
        # An option of `kb worker` is for another machine; `--undo`, `--repair` and `--shared`
        # have no place, and of models only those that have a row.
        for found in re.finditer(r"(KB_\w+=\S+ )?\bkb ([a-z-]+)( --[a-z]+)?", shown):
            typed = (
                found[1]
                or (found[3] and found[2] == "worker")
                or found[3] in (" --undo", " --repair")
                or "--shared" in shown
                or (found[2] == "models" and re.match(r" (?:pull|add) ", shown[found.end(2) :]))
            )
            assert typed or found[2] not in page_places.NAMES, shown
