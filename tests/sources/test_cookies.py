"""Cookies files with damaged rows: named by line, never shown, and never handed on."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import pytest

from kb.database import Database
from kb.errors import SettingsError
from kb.service.health_sources import check_sources
from kb.settings import Settings
from kb.sources.redact import redact
from kb.sources.ytdlp.client import base_options, secrets_of
from kb.sources.ytdlp.cookies import parse_cookies

VALUE = "g.a000" + "SECRETvalue"
GOOD = f".youtube.com\tTRUE\t/\tTRUE\t1990414695\t__Secure-3PSID\t{VALUE}"
DAMAGED = {
    "blanks for tabs": GOOD.replace("\t", " "),
    "blanks for some tabs": GOOD.replace("\tTRUE\t", " TRUE ", 1),
    "an eighth column": f"{GOOD}\tmore",
    "six columns": "\t".join([*GOOD.split("\t")[:5], VALUE]),
    "a date as a word": GOOD.replace("1990414695", "tomorrow"),
    "a negative date": GOOD.replace("1990414695", "-1"),
    "a date without end": GOOD.replace("1990414695", "9" * 400),
    "a domain against its flag": GOOD.replace(".youtube.com", "youtube.com"),
    "a flag of another word": GOOD.replace("\tTRUE\t/", "\tyes\t/"),
    "a security of another word": GOOD.replace("TRUE\t199", "1\t199"),
    "no domain": GOOD.replace(".youtube.com", ""),
    "a path without slash": GOOD.replace("\t/\t", "\tx\t"),
    "a control character": GOOD.replace("SECRET", "\x1bSECRET"),
    "a header of a request": f"Cookie: SID={VALUE}; HSID={VALUE}2",
    "JSON": f'[{{"domain": ".youtube.com", "name": "SID", "value": "{VALUE}"}}]',
    "a value alone": VALUE,
    "an http-only row with blanks": "#HttpOnly_" + GOOD.replace("\t", " "),
}


def settings_for(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "cookies.txt"
    path.write_bytes(text.encode())
    return Settings(
        KB_HOME=tmp_path / "home",
        KB_COOKIES_FILE=str(path),
        YT_API_KEYS_FILE=str(tmp_path / "none.txt"),
    )


@pytest.mark.parametrize("row", DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_damaged_row_is_named_by_its_line_and_never_shown(
    tmp_path: Path,
    row: str,
    ending: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    import yt_dlp

    text = ending.join(["# a comment", "", row, GOOD.replace(VALUE, "another" + "Value1"), ""])
    settings = settings_for(tmp_path, text)
    options = base_options(settings, secrets_of(settings))
    with yt_dlp.YoutubeDL(options) as ydl:
        names = [(cookie.name, cookie.value) for cookie in ydl.cookiejar]
    assert names == [("__Secure-3PSID", "anotherValue1")]
    printed = "".join(capfd.readouterr())
    assert VALUE not in printed + caplog.text and "invalid" not in printed
    assert "line 3" in caplog.text
    # The value is hidden wherever a message quotes it.
    assert VALUE not in redact(f"refused: {row!r}", secrets_of(settings))


@pytest.mark.parametrize("row", DAMAGED.values(), ids=DAMAGED)
def test_a_file_without_a_good_row_is_an_error(tmp_path: Path, row: str) -> None:
    settings = settings_for(tmp_path, f"{row}\n")
    with pytest.raises(SettingsError) as caught:
        base_options(settings)
    assert caught.value.code == "cookies.no_rows" and caught.value.values["line"] == 1
    assert VALUE not in str(caught.value) + caught.value.hint


@pytest.mark.parametrize(
    "row",
    [
        GOOD,
        f"#HttpOnly_{GOOD}",
        GOOD.replace("1990414695", ""),
        GOOD.replace("1990414695", "0"),
        GOOD.replace("1990414695", "1990414695.25"),
        GOOD.replace(".youtube.com\tTRUE", "www.youtube.com\tFALSE"),
        GOOD.replace("__Secure-3PSID", ""),
        GOOD.replace(VALUE, VALUE + "=="),
    ],
)
def test_a_good_row_is_handed_on(
    tmp_path: Path, row: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    import yt_dlp

    caplog.set_level(logging.WARNING)
    options = base_options(settings_for(tmp_path, f"{row}\n"))
    assert isinstance(options["cookiefile"], io.StringIO)
    with yt_dlp.YoutubeDL(options) as ydl:
        assert len(list(ydl.cookiejar)) == 1
    assert not caplog.text and not any(capfd.readouterr())


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "# Netscape HTTP Cookie File"])
def test_a_file_without_rows_gives_no_cookies(tmp_path: Path, text: str) -> None:
    assert base_options(settings_for(tmp_path, text))["cookiefile"] is None
    assert parse_cookies(text).damaged == ()


@pytest.mark.parametrize(
    "address",
    [
        "http://user:hidden" + "word@host/?a=1",
        "http://user:p@ss-hidden" + "word@host/x",
        "https://hidden" + "word@host/feed.xml",
        "http://host/?access_token=hidden" + "word",
        "http://host/a?b=1&client_secret=hidden" + "word#top",
        "http://host/a?X-Amz-Signature=hidden" + "word&X-Amz-Date=1",
        "http://host/a?X-Amz-Security-Token=hidden" + "word",
        "http://host/rss?auth=hidden" + "word",
        "http://host/rss?sessionid=1&session=hidden" + "word",
        "http://host/?passwd=hidden" + "word",
        "http://host/?pwd=hidden" + "word&user=x",
        "http://host/?API-KEY=hidden" + "word",
    ],
)
def test_an_address_is_shown_without_its_passwords(address: str) -> None:
    shown = redact(address)
    assert "hidden" + "word" not in shown and "host" in shown


@pytest.mark.parametrize(
    ("rows", "state", "lines"),
    [
        (None, None, ""),
        (["good"], "ok", ""),
        (["good", "bad"], "warn", "line 2"),
        (["bad", "good", "bad"], "warn", "line 1, 3"),
        (["bad"] * 7 + ["good"], "warn", "line 1, 2, 3, 4, 5 and 2 more"),
        (["bad"], "fail", "line 1"),
        (["missing"], "fail", ""),
    ],
)
def test_doctor_names_damaged_rows(
    tmp_path: Path, rows: list[str] | None, state: str | None, lines: str
) -> None:
    path = tmp_path / "cookies.txt"
    forms = {"good": "127.0.0.1\tFALSE\t/\tFALSE\t0\tSID\tsecret", "bad": "SID secret"}
    if rows and rows != ["missing"]:
        path.write_text("".join(f"{forms[row]}\n" for row in rows))
    settings = Settings(home=tmp_path, cookies_file=str(path) if rows else "")
    checks = check_sources(settings, Database.open(settings))
    found = [check for check in checks if check.name == "Cookies"]
    assert [check.state for check in found] == ([state] if state else [])
    assert all(lines in check.detail and "secret" not in str(check) for check in found)
