"""Settings: the table, `.env`, its example, and secrets that stay where they are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from dotenv import dotenv_values
from pydantic import SecretStr

from kb.errors import SettingsError
from kb.settings import (
    LIBRARY_ENVIRONMENT,
    PROJECT_ROOT,
    Settings,
    get_settings,
    process_environment,
)
from kb.settings.example import example_lines
from tests.support.raising import raises


def test_the_example_has_every_setting_with_its_default() -> None:
    text = (PROJECT_ROOT / ".env.example").read_text(encoding="utf-8")
    assert text == "\n".join(example_lines()) + "\n", "write it again: see CONTRIBUTING.md"
    values = dotenv_values(PROJECT_ROOT / ".env.example")
    for field in Settings.model_fields.values():
        assert str(field.alias) in values
        assert field.description, f"{field.alias} has no description"
    assert all(values[name] == value for name, value in LIBRARY_ENVIRONMENT.items())


def test_the_example_used_as_it_stands_gives_the_defaults() -> None:
    values = dotenv_values(PROJECT_ROOT / ".env.example")
    known = {str(field.alias) for field in Settings.model_fields.values()}
    given = {name: value for name, value in values.items() if name in known and value}
    assert Settings.model_validate(given) == Settings()


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for field in Settings.model_fields.values():
        monkeypatch.delenv(str(field.alias), raising=False)
    monkeypatch.chdir(tmp_path)
    get_settings.cache_clear()
    return tmp_path


def test_the_environment_wins_over_the_file(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (fresh / ".env").write_text("KB_LANGUAGE=de\nKB_PRESET=stabil\nKB_MODEL=\n", encoding="utf-8")
    monkeypatch.setenv("KB_PRESET", "max")
    settings = get_settings()
    assert (settings.language, settings.preset, settings.model) == ("de", "max", "")


@pytest.mark.parametrize(
    ("name", "value"),
    [("KB_HOLD_BELOW", "3"), ("KB_CPU_THREADS", "many"), ("KB_PREFETCH_GB", "0")],
)
def test_a_bad_value_is_named(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with raises(SettingsError, "setting.value", name=name) as caught:
        get_settings()
    assert name in caught.value.message and name in caught.value.hint


@pytest.mark.parametrize(
    ("name", "address"),
    [
        *((name, address) for name in ("ODIN_BASE_URL", "KB_PUBLIC_URL")
          for address in ("http://[::1", "https://[", "https://]/x", "https://℀.example/")),
        *(("KB_PUBLIC_URL", address) for address in (
            "https://host:port", "https://host:99999", "https://host:0", "https://host:-1",
            "https://host:", "https://:8501", "https://", "http:///x", "kb.example.org",
            "//kb.example.org", "ftp://kb.example.org", "https://kb example.org", "https://kb..org",
            "https://-kb.org", "https://kb.example.org?x", "https://kb.example.org/#x",
            "https://user:pw@kb.example.org", "https://256.1.1.1", "https://1.2.3", "https://[::g]",
            "https://kb.example.org\\x", "javascript:alert(1)", "https://kb.example.org:80:90",
            "https://" + "a" * 70 + ".org", "https://kb,example.org", "https://<b>.org",
        )),
        *(("ODIN_BASE_URL", a) for a in ("https://host:port/x", "https://host:99999", "https://:1")),
    ],
)  # fmt: skip
def test_an_address_that_nothing_can_use_is_named(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, name: str, address: str
) -> None:
    monkeypatch.setenv(name, address)
    with pytest.raises(SettingsError) as caught:
        get_settings()
    assert name in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:8501", "http://localhost:8501", "https://kb.example.org",
        "https://kb.example.org:8443/team/", "https://kb.example.org.", "http://[::1]:8501",
        "http://kb-server_2", "https://büro.example", "HTTPS://KB.EXAMPLE.ORG",
        "https://xn--bro-hoa.example/a%20b",
    ],
)  # fmt: skip
def test_an_address_of_a_site(address: str) -> None:
    assert Settings().replace(public_url=address).public_url == address


def test_a_changed_copy_is_checked_too() -> None:
    assert Settings().replace(hold_below=0.5).hold_below == 0.5
    with raises(SettingsError, "setting.value", name="KB_HOLD_BELOW"):
        Settings().replace(hold_below=-1)


def test_secrets_show_nowhere(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = [name for name, f in Settings.model_fields.items() if f.annotation is SecretStr]
    assert secrets
    hidden = "".join(("hush", "-", "hush"))
    for name in secrets:
        monkeypatch.setenv(str(Settings.model_fields[name].alias), hidden)
    settings = get_settings()
    assert hidden not in repr(settings) + str(settings.model_dump())
    monkeypatch.setenv("KB_HOLD_BELOW", "9")
    get_settings.cache_clear()
    with pytest.raises(SettingsError) as caught:
        get_settings()
    assert hidden not in str(caught.value) + caught.value.hint + repr(caught.value)


def test_torch_finds_its_variables_set() -> None:
    code = (
        "import os, kb.settings; kb.settings.get_settings();"
        "print(os.environ['TOKENIZERS_PARALLELISM'])"
    )
    environment = {k: v for k, v in os.environ.items() if k not in LIBRARY_ENVIRONMENT}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "false"


NEW, OLD, HIP = "PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_HIP_ALLOC_CONF"
SPLIT, EXPAND = "max_split_size_mb:512", "expandable_segments:True"


@pytest.mark.parametrize(
    ("environment", "file", "expected"),
    [
        ({}, {}, {OLD: SPLIT}),
        ({NEW: EXPAND}, {}, {NEW: EXPAND}),
        ({OLD: EXPAND}, {}, {OLD: EXPAND}),
        ({HIP: EXPAND}, {}, {HIP: EXPAND}),
        ({}, {NEW: EXPAND}, {NEW: EXPAND}),
        ({}, {OLD: EXPAND}, {OLD: EXPAND}),
        # A copy of `.env.example` has the old name: it must not outvote the new one.
        ({NEW: EXPAND}, {OLD: SPLIT}, {NEW: EXPAND}),
        ({}, {NEW: EXPAND, OLD: SPLIT}, {NEW: EXPAND}),
        ({OLD: "a:1"}, {NEW: EXPAND}, {NEW: EXPAND, OLD: "a:1"}),  # the environment precedes
        ({NEW: ""}, {}, {NEW: "", OLD: SPLIT}),
    ],
)
def test_the_allocator_of_the_user_is_the_one_that_torch_reads(
    environment: dict[str, str],
    file: dict[str, str],
    expected: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in (NEW, OLD, HIP):
        monkeypatch.setenv(name, "")  # registered, so that it is restored
        os.environ.pop(name)
    os.environ.update(environment)
    process_environment.apply(file)
    assert {name: os.environ[name] for name in (NEW, OLD, HIP) if name in os.environ} == expected
