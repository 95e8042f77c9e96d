"""`kb doctor`: ODIN, repairs that are safe, and the bundle for bug reports, which has no secret."""

from __future__ import annotations

import io
import json
import stat
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest
from pydantic import SecretStr

from kb.cli import run
from kb.service import Service, bug_report, repairs
from kb.service.health import HealthCheck
from kb.service.health_odin import check_odin
from kb.settings import Settings, get_settings
from tests.fakes.odin import KEY, PROJECT, SECRET, FakeOdin
from tests.support.keys import fake_key
from tests.support.page_library import home

__all__ = ["home"]

SECRETS = sorted(
    name for name in Settings.model_fields if isinstance(getattr(Settings(), name), SecretStr)
)


def texts_of(content: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name).decode("utf-8") for name in archive.namelist()}


def test_the_bundle_has_no_secret_wherever_it_stood(home: Path) -> None:
    planted = {name: f"pLaNtEd-{number}-0451" for number, name in enumerate(SECRETS)}
    assert len(planted) > 10
    home.mkdir()
    address = "https://visitor:pLaNtEd-pw-0451@example.org/hook?token=pLaNtEd-tk-0451"
    keys = home / "keys.txt"
    keys.write_text(fake_key("P") + "\n")
    service = Service(
        get_settings().replace(
            **{name: SecretStr(value) for name, value in planted.items()},
            users="anna:pLaNtEd-user-0451",
            folder_sink=str(Path.home() / "PLACE"),
            yt_api_keys_file=str(keys),
        )
    )
    secrets = [*planted.values(), address, fake_key("P")]
    for name in bug_report.LOGS:
        log = service.logs.path(name)
        log.parent.mkdir(parents=True, exist_ok=True)
        lines = [f"ERROR request failed with {value}" for value in secrets]
        lines += ["Authorization: Bearer pLaNtEd-bearer-0451", "Cookie: SID=pLaNtEd-sid-0451"]
        log.write_text("\n".join(lines))
    checks = [HealthCheck("ODIN", "fail", f"refused {value}", f"see {value}") for value in secrets]
    counts = {"items": {"done": 3}, "error": f"no answer from {address}"}
    found = texts_of(bug_report.pack(service.settings, checks, service.logs, counts))
    assert set(found) >= {"doctor.json", "settings.json", "machine.json", "worker.log"}
    for name, text in found.items():
        assert "planted" not in text.lower(), name
        assert fake_key("P") not in text, name
        assert str(Path.home()) not in text or len(str(Path.home())) <= 3, name
    # What helps is still there.
    assert "request failed" in found["worker.log"]
    assert json.loads(found["counts.json"])["items"] == {"done": 3}
    assert json.loads(found["settings.json"])["KB_USERS"] == "(set)"
    assert "streamlit==" in found["packages.txt"]
    # These logs were the test's own: the scan of all files at the end would take them for leaks.
    for name in bug_report.LOGS:
        service.logs.path(name).unlink()
    service.close()


def test_the_command_writes_the_bundle_and_never_over_another_file(
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("KB_LLM_KEY", "pLaNtEd-llm-0451")
    monkeypatch.setenv("KB_MODEL", "demo")
    get_settings.cache_clear()
    other = tmp_path / "theirs.zip"
    other.write_text("theirs")
    assert run(["doctor", "--bundle", str(other)]) == 2
    assert other.read_text() == "theirs"
    assert run(["doctor", "--bundle", str(tmp_path / "report.txt")]) == 2
    capsys.readouterr()
    target = tmp_path / "report.zip"
    run(["doctor", "--bundle", str(target)])
    assert "look through it" in " ".join(capsys.readouterr().err.split())
    found = texts_of(target.read_bytes())
    assert "pLaNtEd" not in "".join(found.values())
    names = {check["name"] for check in json.loads(found["doctor.json"])}
    assert {"Python", "Hardware", "Library", "ODIN"} <= names
    assert json.loads(found["settings.json"])["KB_MODEL"] == "demo"


def odin_check(settings: Settings) -> tuple[str, str]:
    ((state, found),) = check_odin(settings)
    return state, f"{found.message} {found.hint}"


ODIN = {
    "well": ({}, "ok", PROJECT),
    "published there": ({"sinks": "local,odin"}, "ok", "answers"),
    "wrong secret": ({"odin_api_secret": SecretStr("another")}, "fail", "API_KEY"),
    "no secret": ({"odin_api_secret": SecretStr("")}, "warn", "without API_SECRET"),
    "not set up": (
        {"odin_api_key": SecretStr(""), "odin_api_secret": SecretStr("")}, "ok", "not set up",
    ),
    "not set up, and wanted": (
        {"odin_api_key": SecretStr(""), "odin_api_secret": SecretStr(""), "sinks": "odin"},
        "warn",
        "API_KEY, API_SECRET",
    ),
    "away": ({"odin_base_url": "http://127.0.0.1:9"}, "fail", "127.0.0.1"),
}  # fmt: skip


@pytest.mark.parametrize("case", ODIN)
def test_odin_is_asked_for_its_project(case: str, tmp_path: Path) -> None:
    change, state, words = ODIN[case]
    with FakeOdin(tmp_path / "odin") as odin:
        settings = Settings(**odin.settings()).replace(**change)
        found, words_found = odin_check(settings)
    assert (found, words in words_found) == (state, True), words_found
    assert KEY not in words_found and SECRET not in words_found


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other rights")
def test_fix_closes_a_library_that_others_can_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # A test's own temporary folder is closed to others anyway.
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        home = Path(folder) / "library"
        monkeypatch.setenv("KB_HOME", str(home))
        get_settings.cache_clear()
        service = Service()
        service.library.prepare()
        service.queue.prepare()
        service.close()
        words = home / "media" / "talk.txt"
        words.write_text("words")
        words.chmod(0o644)
        home.chmod(0o755)
        (home / "media").chmod(0o755)
        done = repairs.mend(get_settings())
        assert any("made private" in each for each in done), done
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (home, words)}
        assert modes == {"library": 0o700, "talk.txt": 0o600}
        assert words.read_text() == "words"
        assert repairs.mend(get_settings()) == []


def test_fix_makes_no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KB_HOME", str(tmp_path / "none"))
    get_settings.cache_clear()
    assert repairs.mend(get_settings()) == []
    assert not (tmp_path / "none").exists()
