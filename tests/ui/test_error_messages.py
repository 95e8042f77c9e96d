"""German messages for the errors that the core raises."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from gpu.preset_figures import override
from gpu.presets import find_preset
from kb.asr.engines.model_lookup import ModelRef, _explain
from kb.database import Database
from kb.errors import KBError, restored
from kb.service import Service
from kb.settings import Settings, get_settings
from kb.sinks.odin.transport import check_credentials
from kb.sources import get_source, source_for
from kb.sources.files import FileSource
from kb.sources.keys.key_ring import ApiKey, KeyRing, read_keys
from kb.storage import library_error
from kb.ui.i18n import MESSAGES
from tests.fakes.youtube import Channel, FakeYouTube
from tests.support.keys import fake_key
from tests.support.library_pages import page, page_text, rows_of, run_page
from tests.support.page_library import queued


def _say(error: str, hint: str, problem: dict[str, object] | None, lang: str) -> None:
    import streamlit as st

    from kb.errors import restored
    from kb.ui.i18n import error_messages

    st.session_state["lang"] = lang
    for part in error_messages.translate_error(restored(error, hint, problem)):
        st.text(part)


def said(problem: KBError, lang: str = "de") -> tuple[str, str]:
    """Return the message and hint that a page in this language shows."""
    given = {**problem.record(), "lang": lang}
    app = run_page(AppTest.from_function(_say, kwargs=given))
    return app.text[0].value, app.text[1].value


def raised(action: Callable[[], object]) -> KBError:
    with pytest.raises(KBError) as caught:
        action()
    return caught.value


def quota(folder: Path) -> None:
    """Request a key after the only key has used up its daily quota."""
    settings = Settings(KB_HOME=str(folder / "home"))
    key = ApiKey.of(fake_key("w"))
    ring = KeyRing((key,), Database.open(settings))
    ring.mark_exhausted(key, "spent")
    ring.current()


def no_disk() -> None:
    raise library_error(OSError(errno.ENOSPC, "full"), Path("/kb/media/a.txt"), "write")


def no_model(error: Exception) -> Callable[[], None]:
    def act() -> None:
        raise _explain(ModelRef("org/x", "org/x", False), error)

    return act


ERRORS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "overlap": (
        lambda _: override(find_preset("optimiert"), overlap_s=25.0),
        "„Überlappung, s“ muss kleiner sein als die Hälfte des Chunks (15 s), nicht 25",
        "unter Einstellungen, Dieser Rechner",
    ),
    "batch": (
        lambda _: override(find_preset("optimiert"), batch_size=0),
        "„Batch“ muss eine ganze Zahl von 1 bis 256 sein, nicht 0.",
        "unter Einstellungen, Dieser Rechner",
    ),
    "unknown": (lambda _: source_for("harbour"), "Hier weiß niemand, was 'harbour' ist.", "Pfad"),
    "link": (
        lambda folder: get_source(
            "youtube", settings=Settings(), database=None, measure=None
        ).items(str(folder)),
        "ist kein Link zu einem Video",
        "ein Handle wie @name",
    ),
    "path": (
        lambda folder: FileSource().items(str(folder / "nowhere")),
        "nowhere ist nicht da: keine solche Datei",
        "Den Pfad prüfen.",
    ),
    "no media": (
        lambda folder: FileSource().items(str(folder)), "Keine Mediendateien in", "Endungen: .",
    ),
    "odin": (
        lambda _: check_credentials(Settings()),
        "ODIN braucht Schlüssel und Geheimnis: API_KEY and API_SECRET sind nicht gesetzt.",
        "auf der Karte von ODIN",
    ),
    "odin secret": (
        lambda _: check_credentials(Settings(API_KEY="k")),
        "Geheimnis: API_SECRET ist nicht gesetzt.",
        "auf der Karte von ODIN",
    ),
    "key": (
        lambda _: read_keys(Settings(YT_API_KEYS="no key at all")),
        "ist kein Schlüssel der YouTube Data API.",
        "Ein Schlüssel je Zeile",
    ),
    "quota": (
        quota,
        "Jeder Schlüssel der YouTube Data API hat seinen Tag verbraucht (1 von 1); das Kontingent",
        "geht es von selbst weiter",
    ),
    "disk": (
        lambda _: no_disk(),
        "/kb/media/a.txt lässt sich nicht schreiben: die Platte ist voll.",
        "Platz schaffen",
    ),
    "model": (
        lambda _: no_model(OSError("no network"))(),
        "Modell org/x lässt sich nicht laden: no network",
        "Es ist vielleicht kein Whisper-Modell. Auf diesem Rechner gibt es:",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ERRORS)
def test_the_core_s_own_errors_are_shown_in_german(kind: str, tmp_path: Path) -> None:
    action, message, hint = ERRORS[kind]
    problem = raised(lambda: action(tmp_path))
    shown = said(problem)
    assert message in shown[0]
    assert hint in shown[1]
    # The English text is the core's sentence with fields of the page instead of options.
    assert said(problem, "en")[0].replace("“Overlap, s”", "--overlap").replace(
        "“Batch”", "--batch-size"
    ) == (problem.message)


def test_a_stored_error_of_another_version_is_shown_as_it_was_stored() -> None:
    """Its code may be unknown to this version, or its sentence may have had other values."""
    unknown = restored("As it was.", "Then this.", {"code": "no.such", "values": {}})
    assert said(unknown) == ("As it was.", "Then this.")
    changed = restored("As it was.", "Then this.", {"code": "storage.disk_full", "values": {}})
    assert said(changed) == ("As it was.", "Then this.")
    damaged = {"code": "storage.refused", "values": {"path": "/a", "action": 3, "reason": "?"}}
    assert said(restored("As it was.", "", damaged))[0] == "/a lässt sich nicht 3: ?"


def test_an_error_inside_another_is_translated_with_it() -> None:
    cause = raised(no_disk)
    outer = KBError("setting.not_saved", "{cause}", hint="Then so.", cause=cause)
    assert said(outer)[0] == said(cause)[0]
    assert said(outer, "en") == (cause.message, "Then so.")


def test_commands_of_a_message_stay_and_options_become_fields() -> None:
    words = "Try a smaller --batch-size or --model demo, then: kb ingest --again --model ..."
    assert said(KBError(words), "en")[0] == (
        "Try a smaller “Batch” or “Recognizer”: demo, then: kb ingest --again --model ..."
    )
    assert said(KBError("Something else. --verbose"))[0] == "Something else. --verbose"


def test_a_channel_that_is_not_there(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = fake_key("z")
    with FakeYouTube([Channel("UC" + "x" * 22, "@talks", 6)], quota={key: 1000}) as fake:
        monkeypatch.setenv("YT_API_ENDPOINT", fake.url)
        monkeypatch.setenv("YT_API_KEYS", key)
        get_settings.cache_clear()
        service = Service()
        message, hint = said(raised(lambda: service.ingest.scan("@nobody")))
        service.close()
    assert message == "Einen YouTube-Kanal @nobody gibt es nicht."
    assert "die Adresse des Kanals aus dem Browser angeben" in hint


@pytest.mark.slow
def test_the_queue_tells_old_troubles_in_german(home: Path) -> None:
    """An error that a worker has stored in English is shown in German on the German page."""
    service = queued(1)
    (row,) = service.queue.page().rows
    assert service.queue.items.claim(row.id, 1, "me")
    problem = raised(no_disk)
    service.queue.items.finish(row.id, 1, "me", "failed", **problem.record(), attempts=1)
    app = page(tab=MESSAGES["de"]["tab_activity"], lang="de")
    (row_shown,) = rows_of(app)
    said = "/kb/media/a.txt lässt sich nicht schreiben: die Platte ist voll."
    assert row_shown["note"].startswith(said)
    app.session_state["rows_queue"]["selected"] = {row.id: True}
    run_page(app)
    assert "Platz schaffen, oder KB_HOME auf einen Ordner" in page_text(app).replace("\\", "")
    service.close()


def test_remarks_of_a_listing_are_in_the_page_s_language() -> None:
    from kb.sources.youtube.listing_end import NEWEST_UPLOADS, page_before

    early = KBError(
        "note.early_end",
        "{listed:,} of {reported:,} videos were looked at: the listing ended at {place}.",
        listed=1200,
        reported=3000,
        place=page_before("2024-03-05"),
    )
    german, english = said(early)[0], said(early, "en")[0]
    assert "der ersten Seite vor dem 2024-03-05" in german and "first" not in german
    assert english == early.message and "1,200" in english
    assert "Wiedergabelisten" in said(NEWEST_UPLOADS)[0]


@pytest.mark.parametrize(
    ("lang", "signs", "why", "words"),
    [
        ("de", "ending,stutter", " (may be invented, x)", "(vielleicht erfunden, ein Wort, zu"),
        ("de", "uncovered", " (speech without words)", "(Sprache ohne Wörter)."),
        ("de", "of_a_later_version", " (x)", "(of a later version)."),
        ("de", None, " (ending)", "(ending)."),  # stored by the version before
        ("de", "", "", "sind zweifelhaft."),
        ("en", "stretched", " (a word longer than its letters)", "longer than its letters)."),
    ],
)
def test_the_signs_of_a_held_item_are_in_the_language_of_the_page(
    lang: str, signs: str | None, why: str, words: str
) -> None:
    more = {} if signs is None else {"signs": signs}
    held = KBError(
        "hold.doubtful",
        "Grade {grade}: {suspect_s:.1f} s of the text are doubtful{why}.",
        **{"grade": "C", "suspect_s": 2.5, "why": why, **more},
    )
    assert words in said(held, lang)[0]
