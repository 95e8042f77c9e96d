"""The digest: composed for a day or a week, written once, sent once by each way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from kb.cli.main import run
from kb.database import items, looks
from kb.errors import KBError, MediaUnavailable
from kb.jobs.digest.delivery import send
from kb.jobs.digest.digest import compose
from kb.jobs.digest.digest_text import digest_text, length_text, subject
from kb.jobs.digest.schedule import FOLDER, GIVE_UP_S, KEPT, period_before, write_due
from kb.service import Service
from kb.settings import Settings
from kb.sources.looks import LookOutcome, Looks
from kb.types import MediaItem
from tests.fakes.mail import FakeMail, FakeWebhook

NOW = datetime(2026, 11, 26, 9, 30).timestamp()  # a Thursday
PASSWORD = "very secret word"
MEMBERS = MediaUnavailable(
    "download.members_only",
    "{what} cannot be fetched: {reason}",
    hint="It is for members only.",
    what="Talk 3",
    reason="Join this channel",
)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A library that follows a channel: three items done yesterday, one failed."""
    made = Service(Settings(home=tmp_path / "home"))
    made.library.prepare()
    made.subscriptions.follow("@talks")
    look = Looks(made.queue.database, clock=lambda: NOW - 86_400).begin("youtube:handle:@talks")
    look.note(units=3, queued=4, listed=50)
    look.end(LookOutcome.SUCCEEDED)
    found = [
        MediaItem(
            f"youtube:t{n}", "youtube", "https://y.example", f"Talk {n}", "2026-11-01",
            channel="Talks", duration_s=1800.0,
        )
        for n in range(4)
    ]  # fmt: skip
    made.queue.items.submit(found, {}, lambda *_arguments: None)
    with made.queue.database.begin() as connection:
        for number, item in enumerate(found):
            values: dict[str, Any] = {"state": "done", "ended_at": NOW - 86_400 + number}
            if number == 3:
                values = {"state": "failed", "wait_until": NOW + 3600, **MEMBERS.record()}
            connection.execute(sa.update(items).where(items.c.id == item.id).values(**values))
    yield made
    made.close()


def due(service: Service, settings: Settings, now: float = NOW) -> tuple[Path | None, list[str]]:
    """Write what is due; return the file and the codes of the warnings."""
    warned: list[KBError] = []
    made = write_due(
        settings, service.queue.database, service.library, clock=lambda: now, warn=warned.append
    )
    return made, [each.code for each in warned]


@pytest.mark.parametrize(
    ("moment", "kind", "name", "begin", "end"),
    [
        ((2026, 11, 26, 9), "day", "digest-2026-11-25", (2026, 11, 25), (2026, 11, 26)),
        ((2026, 11, 26, 0), "day", "digest-2026-11-25", (2026, 11, 25), (2026, 11, 26)),
        ((2026, 3, 1, 12), "day", "digest-2026-02-28", (2026, 2, 28), (2026, 3, 1)),
        ((2026, 11, 26, 9), "week", "digest-2026-W47", (2026, 11, 16), (2026, 11, 23)),
        ((2026, 11, 23, 0), "week", "digest-2026-W47", (2026, 11, 16), (2026, 11, 23)),
        ((2026, 11, 22, 23), "week", "digest-2026-W46", (2026, 11, 9), (2026, 11, 16)),
        ((2027, 1, 5, 9), "week", "digest-2026-W53", (2026, 12, 28), (2027, 1, 4)),
    ],
)
def test_the_last_whole_period(
    moment: tuple[int, ...], kind: str, name: str, begin: tuple[int, ...], end: tuple[int, ...]
) -> None:
    found = period_before(datetime(*moment).timestamp(), kind)  # type: ignore[arg-type]
    limits = (datetime(*each).timestamp() for each in (begin, end))  # type: ignore[arg-type]
    assert found == (name, *limits)


def test_a_digest_says_what_is_new_what_failed_and_until_when(service: Service) -> None:
    found = compose(service.queue.database, service.library, NOW - 2 * 86_400, NOW)
    assert (found["new_count"], found["new_s"], found["looks"]["units"]) == (3, 5400.0, 3)
    (reason,) = found["not_done"]
    assert (reason["count"], reason["problem"]["code"]) == (1, "download.members_only")
    assert reason["next_at"] == NOW + 3600
    assert found["free_bytes"] > 0
    text = digest_text(found)
    for words in ("Talk 0 (Talks)", "Join this channel. Next try", "1 followed", "free"):
        assert words in text
    assert "room for 12 days" in digest_text({**found, "days_left": 12.4})
    assert "room for" not in digest_text({**found, "days_left": 1e6})
    assert subject(found) == "KB Ingest: 3 new, 1 failed"
    outside = compose(service.queue.database, service.library, NOW - 86_400 * 9, NOW - 86_400 * 2)
    assert (outside["new_count"], outside["looks"]["count"]) == (0, 0)
    json.dumps(found)  # plain values only


def test_a_digest_is_written_once_for_a_period(service: Service) -> None:
    settings = service.settings.replace(digest="day")
    made, _ = due(service, settings)
    assert made is not None and made.name == "digest-2026-11-25.md"
    assert "3 new" in made.read_text()
    assert due(service, settings) == (None, [])
    later, _ = due(service, settings, NOW + 86_400)
    assert later is not None and later.name == "digest-2026-11-26.md"
    assert len(list((service.library.home / FOLDER).glob("*.md"))) == 2


@pytest.mark.parametrize(
    ("kind", "new", "other"),
    [
        ("day", "digest-2026-11-25", [f"digest-2025-W{n:02}" for n in range(1, 53)] * 2),
        (
            "week",
            "digest-2026-W47",
            [f"digest-2027-0{m}-{d:02}" for m in (1, 2) for d in range(31)],
        ),
    ],
)
def test_digests_of_another_kind_take_none_away(
    service: Service, kind: str, new: str, other: list[str]
) -> None:
    folder = service.library.home / FOLDER
    folder.mkdir(parents=True)
    numbered = sorted({*other, *(f"{name[:7]}{int(name[7:11]) - 1}{name[11:]}" for name in other)})
    for name in numbered:
        (folder / f"{name}.json").write_text("{}")
    assert len(numbered) > KEPT
    made, _ = due(service, service.settings.replace(digest=kind))
    assert made is not None and made.stem == new and made.exists()
    assert due(service, service.settings.replace(digest=kind)) == (None, [])
    assert {each.stem for each in folder.glob("*.json")} == {*numbered, new}


@pytest.mark.parametrize("kind", ["off", "day"])
def test_no_digest_is_written_when_it_is_off_or_nothing_is_followed(
    service: Service, kind: str
) -> None:
    if kind != "off":
        service.subscriptions.unfollow("@talks")
    assert due(service, service.settings.replace(digest=kind)) == (None, [])
    assert not (service.library.home / FOLDER).exists()


def test_it_is_sent_once_by_each_way_and_again_only_where_it_failed(service: Service) -> None:
    with FakeMail() as mail, FakeWebhook(500, 503, 204) as hook:
        settings = Settings.model_validate(
            {
                "KB_HOME": str(service.settings.home), "KB_DIGEST": "week",
                "KB_DIGEST_EMAIL": "ann@example.org, ben@example.org", "KB_SMTP_HOST": "127.0.0.1",
                "KB_SMTP_PORT": str(mail.port), "KB_SMTP_SECURITY": "none",
                "KB_SMTP_USER": "kb@example.org", "KB_SMTP_PASSWORD": PASSWORD,
                "KB_DIGEST_WEBHOOK": hook.url,
            }
        )  # fmt: skip
        codes = [due(service, settings, NOW + 3600 * n)[1] for n in range(-72, -68)]
    assert codes == [["digest.webhook_refused"], ["digest.webhook_refused"], [], []]
    (message,) = mail.messages
    assert message["To"] == "ann@example.org, ben@example.org"
    assert message["From"] == "kb@example.org" and message["Subject"].startswith("KB Ingest: ")
    assert "## Room" in message.get_content()
    assert any(command.startswith("AUTH") for command in mail.commands)
    (document,) = hook.documents
    assert document["follows"]["count"] == 1 and "sent" not in document


def test_what_could_not_be_sent_for_two_days_is_given_up(service: Service) -> None:
    settings = service.settings.replace(digest="week", digest_email="ann@example.org")
    _, _, end = period_before(NOW, "week")
    for after_s, codes in (
        (3600.0, ["digest.no_server"]), (86_400.0, ["digest.no_server"]),
        (GIVE_UP_S, ["digest.no_server"]), (GIVE_UP_S + 1, []),
    ):  # fmt: skip
        assert due(service, settings, end + after_s)[1] == codes


@pytest.mark.parametrize(
    ("refuse", "words"),
    [
        ({"AUTH": f"535 {PASSWORD} is wrong"}, "535"),
        ({"RCPT": "550 no such person"}, "550"),
        ({"MAIL": "451 later"}, "451 later"),
        ({"DATA": "554 no"}, "554 no"),
    ],
)
def test_a_refused_email_names_server_and_cause_and_no_password(
    service: Service, refuse: dict[str, str], words: str
) -> None:
    found = compose(service.queue.database, service.library, NOW - 86_400, NOW)
    with FakeMail(refuse) as mail:
        settings = service.settings.replace(
            digest_email="ann@example.org", smtp_host="127.0.0.1", smtp_port=mail.port,
            smtp_security="none", smtp_user="kb", smtp_password=PASSWORD,
        )  # fmt: skip
        with pytest.raises(KBError) as caught:
            send(settings, found, "email")
    assert caught.value.code == "digest.email_refused"
    assert words in caught.value.message and PASSWORD not in caught.value.message


@pytest.mark.parametrize("status", [301, 400, 404, 500])
def test_a_refused_webhook_names_no_address(service: Service, status: int) -> None:
    found = compose(service.queue.database, service.library, NOW - 86_400, NOW)
    with FakeWebhook(status) as hook, pytest.raises(KBError) as caught:
        send(service.settings.replace(digest_webhook=hook.url), found, "webhook")
    assert caught.value.code == "digest.webhook_refused"
    assert str(status) in caught.value.message and "s3cret" not in caught.value.message


@pytest.mark.parametrize("address", ["example.org/hook", "ftp://example.org", "file:///etc/passwd"])
def test_a_webhook_is_an_address_of_the_web(service: Service, address: str) -> None:
    with pytest.raises(KBError) as caught:
        send(service.settings.replace(digest_webhook=address), {}, "webhook")
    assert caught.value.code == "digest.webhook_address"


def test_the_command_prints_it(
    service: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KB_HOME", str(service.settings.home))
    assert run(["digest", "--days", "7"]) == 0
    assert "## Room" in capsys.readouterr().out
    assert run(["digest", "--json"]) == 0
    assert "grown_bytes" in json.loads(capsys.readouterr().out)
    assert run(["digest", "--send"]) == 2  # no way is set


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["day", "week"])
@pytest.mark.parametrize("wrong_days", [1, 2, 8, 29, 40, 400, -2, -8, -400, -20 * 365])
def test_a_wrong_clock_takes_no_digest_away_and_leaves_none_of_a_wrong_time(
    service: Service, kind: str, wrong_days: int
) -> None:
    settings = service.settings.replace(digest=kind)
    folder = service.library.home / FOLDER
    name, _, end = period_before(NOW, kind)
    made, _ = due(service, settings)
    assert made is not None and made.stem == name
    for hours in (0, 1, 2, 26):  # longer than the clock is doubtful
        due(service, settings, NOW + wrong_days * 86_400 + hours * 3600)
    for hours in range(30):
        due(service, settings, NOW + hours * 60)  # the clock is right again
    assert made.exists()
    period_s = 86_400 if kind == "day" else 7 * 86_400
    for number in range(2, 5):  # after the day of doubt that follows a leap of a month
        moment = end + number * period_s + 3600
        for hours in (0, 1):
            due(service, settings, moment + hours * 3600)
        document = folder / f"{period_before(moment, kind)[0]}.json"
        found = json.loads(document.read_text())
        assert "early" not in found and found["to"] <= moment
    assert made.exists()


@pytest.mark.parametrize(
    ("behind_days", "published", "is_written"),
    [
        (0, "2026-11-20", True),
        (1, "2026-11-26", True),  # it is tomorrow elsewhere
        (3, "2026-11-26", False),
        (3, "", True),  # nothing says that the clock is wrong
        (400, "2026-11-01", False),
        (20 * 365, "", False),  # before there was such a program
        (20 * 365, "2026-11-01", False),
    ],
)
@pytest.mark.parametrize("kind", ["day", "week"])
def test_no_digest_has_the_day_of_a_clock_that_is_behind(
    service: Service, kind: str, behind_days: int, published: str, is_written: bool
) -> None:
    with service.queue.database.begin() as connection:
        connection.execute(sa.update(items).values(published=published))
    settings = service.settings.replace(digest=kind)
    made = [due(service, settings, NOW - behind_days * 86_400)[0] for _ in range(2)]
    assert [each is not None for each in made] == [is_written, False]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["day", "week"])
@pytest.mark.parametrize(("periods", "written"), [(1, 1), (2, 2), (3, 3), (8, 8), (12, 1)])
def test_periods_that_were_missed_get_their_digest(
    service: Service, kind: str, periods: int, written: int
) -> None:
    settings = service.settings.replace(digest=kind)
    folder = service.library.home / FOLDER
    due(service, settings)
    later = NOW + periods * (86_400 if kind == "day" else 7 * 86_400)
    for hours in (0, 1, 20, 26):  # a leap of a month is doubted for a day
        due(service, settings, later + 3600 * hours)
    names = sorted(each.stem for each in folder.glob("*.json"))
    extra = 1 if kind == "day" else 0  # of the next day
    assert len(names) in (1 + written, 1 + written + extra)
    spans = [json.loads((folder / f"{name}.json").read_text()) for name in names]
    if written == periods:
        assert all(one["to"] == next_one["from"] for one, next_one in pairwise(spans))


@pytest.mark.parametrize(
    ("ahead_days", "new", "undated", "text"),
    [
        (0, 3, (0, 0), "## New: 3"),
        (400, 0, (3, 1), "## New: unknown"),
        (-20 * 365, 0, (3, 1), "## New: unknown"),
    ],
)
def test_a_week_of_a_wrong_clock_is_unknown_and_not_empty(
    service: Service, ahead_days: int, new: int, undated: tuple[int, int], text: str
) -> None:
    shift = ahead_days * 86_400
    with service.queue.database.begin() as connection:
        connection.execute(sa.update(items).values(ended_at=items.c.ended_at + shift))
        connection.execute(sa.update(looks).values(started_at=looks.c.started_at + shift))
    found = compose(service.queue.database, service.library, NOW - 7 * 86_400, NOW)
    assert (found["new_count"], found["undated_items"]) == (new, undated[0])
    assert (found["looks"]["count"], found["looks"]["undated"]) == (1 - undated[1], undated[1])
    assert found["clock"] is not None or ahead_days <= 0
    said = digest_text(found)
    assert text in said and ("Looks and quota: unknown" in said) is bool(ahead_days)
    assert ("A wrong clock dated 3 items and 1 look" in said) is bool(ahead_days)
    assert ("1 failed" in subject(found)) and ("new unknown" in subject(found)) is bool(ahead_days)


def test_what_is_transcribed_again_is_not_new(service: Service) -> None:
    with service.queue.database.begin() as connection:
        own = sa.update(items).where(items.c.id.in_(["youtube:t0", "youtube:t1"]))
        connection.execute(own.values(run=2))
    found = compose(service.queue.database, service.library, NOW - 7 * 86_400, NOW)
    assert (found["new_count"], found["renewed_count"], found["new_s"]) == (1, 2, 1800.0)
    assert subject(found) == "KB Ingest: 1 new, 1 failed"
    said = digest_text(found)
    assert said.index("## New: 1") < said.index("- Talk 2") < said.index("## Transcribed again: 2")
    assert said.index("## Transcribed again: 2") < said.index("- Talk 0")


@pytest.mark.parametrize("ahead_days", [5, 12])  # the second day of a week
def test_an_early_digest_is_sent_again_at_its_time(service: Service, ahead_days: int) -> None:
    with FakeWebhook(204, 204, 204, 204) as hook:
        settings = Settings.model_validate(
            {
                "KB_HOME": str(service.settings.home),
                "KB_DIGEST": "week",
                "KB_DIGEST_WEBHOOK": hook.url,
            }
        )
        for hours in (0, 1):
            due(service, settings, NOW + ahead_days * 86_400 + hours * 3600)
        sent = len(hook.documents)
        due(service, settings, NOW)
        for hours in (0, 1, 2):
            due(service, settings, NOW + ahead_days * 86_400 + hours * 3600)
    last = [each["to"] for each in hook.documents]
    assert (sent, len(last)) == (1, 2)
    assert last[0] == last[1] and all("early" not in each for each in hook.documents)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"to": "soon"}', '{"to": null}', "not JSON"])
def test_a_later_digest_that_was_changed_by_hand_is_kept(service: Service, text: str) -> None:
    folder = service.library.home / FOLDER
    folder.mkdir(parents=True)
    (folder / "digest-2026-W60.json").write_text(text)
    (folder / "digest-2099-01-01.json").write_text('{"to": 4e9}')  # of the other kind
    due(service, service.settings.replace(digest="week"))
    assert (folder / "digest-2026-W60.json").read_text() == text
    assert (folder / "digest-2099-01-01.json").read_text() == '{"to": 4e9}'
    assert len(list(folder.glob("*.json"))) == 3


@pytest.mark.parametrize(
    ("seconds", "unmeasured", "count", "said"),
    [
        (0.0, 0, 0, ""),
        (0.0, 53, 53, ""),  # of unknown length, and not 0.0 h
        (3.4, 0, 1, "3 s"),
        (0.2, 0, 1, "1 s"),
        (106.0, 0, 53, "2 min"),
        (1080.0, 0, 53, "18 min"),
        (5400.0, 0, 3, "1.5 h"),
        (36_000.0, 2, 12, "10.0 h, 2 of unknown length"),
    ],
)
def test_the_length_of_what_is_new(
    service: Service, seconds: float, unmeasured: int, count: int, said: str
) -> None:
    assert length_text(seconds, unmeasured, count) == said
    found = compose(service.queue.database, service.library, NOW - 2 * 86_400, NOW)
    more = {"new_s": seconds, "new_unmeasured": unmeasured, "new_count": count}
    title = f"## New: {count} ({said})" if said else f"## New: {count}"
    assert title in digest_text({**found, **more}).splitlines()


def test_looks_are_counted_by_their_end(service: Service) -> None:
    found = compose(service.queue.database, service.library, NOW - 2 * 86_400, NOW)
    ends = {"count": 9, "failed": 1, "waiting": 2, "interrupted": 0, "running": 3, "units": 1}
    text = digest_text({**found, "looks": ends})
    assert "9 looks (1 failed, 2 wait, 3 running), 1 unit of quota" in text
    assert "The library has" in text and found["library_bytes"] is not None
