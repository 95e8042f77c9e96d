"""Next steps of errors name places of the page instead of commands."""

from __future__ import annotations

import re

from kb.errors import KBError
from kb.inference.downloads import known_models
from kb.ui.i18n import MESSAGES, error_messages, page_places
from tests.support.each_case import check_each

PLACES = {
    "Run `kb reindex`: it rebuilds the index.":
        "Run “Check the library” under Settings, Health: it rebuilds the index.",
    "Put it back and run kb reindex, or transcribe it again: kb retry file:ab12":
        "Put it back and run “Check the library” under Settings, Health, or transcribe it again: "
        "“Retry” on the tab Activity",
    "Wait for its end, or: kb cancel youtube:abc-_1": "Wait for its end, or: “Cancel” on the tab "
        "Activity",
    "Queue the item again: kb ingest SOURCE --again": "Queue the item again: tab Add, “Transcribe "
        "again what is already in the library”",
    "Read it again: kb review ID --retry --model NAME; or": "Read it again: tab Add, “Transcribe "
        "again what is already in the library”; or",
    "Look at its driver with: kb doctor. To go on without it: KB_DEVICE=cpu.":
        "Look at its driver with: Settings, Health. To go on without it: KB_DEVICE=cpu.",
    "Run kb publish for it again: the failed copy is replaced.":
        "Run the tab Publish for it again: the failed copy is replaced.",
    "Find out who speaks: kb enrich file:ab12 --steps speakers": "Find out who speaks: “Run steps” "
        "on its page in the Library",
    "Make it: kb translate ID --into de,fr --via llm": "Make it: “Translate” on its page in the "
        "Library",
    'For example: kb speakers ID --name S1="Anna Weber"': "For example: “Speakers” on its page in "
        "the Library",
    "Fetch it again: kb models add speakers": "Fetch it again: “Fetch” under Settings, Models",
    "See what is: kb models. Fetch it with: kb models pull tiny": "See what is: Settings, Models. "
        "Fetch it with: “Fetch” under Settings, Models",
    "kb models remove takes models that were fetched.": "“Remove” under Settings, Models takes "
        "models that were fetched.",
    "Start one: kb worker": "Start one: “Start the worker” in the sidebar",
    # For another process, another machine, or without a place on the page: to be typed.
    "Start it so: KB_EXECUTOR_ID=second kb worker": None,
    "On another: kb worker --stop, and if it stays, end process 7.": None,
    "Fetch it: kb models add nemotron": "Fetch it: “Fetch” under Settings, Models",
    # No row of the page is sure to have a button for it.
    "Fetch it again: kb models pull org/name --again; or": None,
    "Fetch it again: kb models pull tiny --again": None,
    "Fetch it with: kb models pull Qwen/Qwen3-ForcedAligner-0.6B": None,
    "Fetch it: kb models pull {name}": None,
    "kb models verify large-v3. More": None,
    "kb models pause large-v3": None,
    "kb models cancel large-v3": None,
    "Remove it for all programs with: kb models remove org/name --shared": None,
    "Put an earlier copy in its place: kb restore": None,
    "Put the right file back (kb verify --repair takes it from its source).": None,
}  # fmt: skip


def test_the_page_names_its_places_instead_of_commands() -> None:
    check_each(PLACES, the_place_is_named, str)


def the_place_is_named(hint: str) -> None:
    wanted = PLACES[hint]
    assert page_places.with_places(hint, MESSAGES["en"].__getitem__) == (wanted or hint)


SETTINGS = {
    "Send a compressed recording, or raise KB_UPLOAD_MAX_GB.":
        "Send a compressed recording, or raise KB_UPLOAD_MAX_GB (Settings, Advanced).",
    "To go on without it: KB_DEVICE=cpu.": "To go on without it: KB_DEVICE=cpu (Settings, "
        "Advanced).",
    "After 3 hours at the latest (KB_PUBLISH_WAIT_HOURS).": "After 3 hours at the latest "
        "(KB_PUBLISH_WAIT_HOURS, Settings, Advanced).",
    # Named already; of the whole program; a secret, which has a part of its own; a command.
    "KB_DEVICE=cpu under Settings, Advanced.": None,
    "Set KB_HOME to another folder.": None,
    "Check KB_LLM_KEY.": None,
    "Start it so: KB_EXECUTOR_ID=second kb worker": None,
}  # fmt: skip


def test_the_page_names_the_place_of_a_setting() -> None:
    check_each(SETTINGS, the_place_of_the_setting_is_named, str)


def the_place_of_the_setting_is_named(hint: str) -> None:
    error = KBError("test.nothing", "A sentence.", hint=hint)
    assert error_messages.translate_error(error).hint == (SETTINGS[hint] or hint)


def test_an_error_of_a_model_names_the_button_that_its_row_has() -> None:
    go_on = "Go on with: kb models pull org/name"
    for code in ("model.fetch_stopped", "model.fetch_paused"):
        shown = page_places.with_places(go_on, MESSAGES["en"].__getitem__, code)
        assert shown == "Go on with: “Resume fetching” under Settings, Models"
    # A file of the right size counts as there: it has to be removed first.
    error = KBError("speakers.bad_weights", "A.", hint="Again: kb models add speakers")
    assert "“Remove”" in error_messages.translate_error(error).hint


def test_the_models_with_a_row_are_those_of_the_list() -> None:
    rows = {name for each in known_models() for name in (each.name, each.repository)}
    assert rows == page_places.MODELS


def test_an_error_on_the_page_names_the_place() -> None:
    error = KBError("no.such", "A sentence.", hint="Rebuild it: kb reindex")
    step = "Rebuild it: “Check the library” under Settings, Health"
    assert error_messages.translate_error(error) == ("A sentence.", step)


def test_each_place_has_the_names_that_the_page_has() -> None:
    for language, quotes in (("en", "“([^”]+)”"), ("de", "„([^“]+)“")):
        table = MESSAGES[language]
        names = {words.split(" ({")[0] for words in table.values()}
        for key, place in ({"en": page_places.EN, "de": page_places.DE}[language]).items():
            for quoted in re.findall(quotes, place):
                assert quoted in names, (language, key, quoted)
            if place.startswith(("Settings, ", "Einstellungen, ")):
                assert place.split(", ")[1] in names, (language, key)
