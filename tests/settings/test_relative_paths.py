"""Relative paths and refused values in settings: the place that sets them decides, and is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kb.cli.main import run
from kb.errors import ModelUnavailable, SettingsError
from kb.settings import Settings, current_sources, get_settings
from kb.sources.keys.key_file import key_file_path
from kb.sources.keys.key_ring import read_keys
from tests.support.keys import fake_key
from tests.support.raising import raises


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project's folder; the current folder is another one."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.setattr("kb.settings.settings.ENV_FOLDER", folder)
    monkeypatch.delenv("KB_HOME", raising=False)
    return folder


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    get_settings.cache_clear()
    return path


# Setting, its value, and what it is where the folder of its place is `@`.
RELATIVE = [
    ("KB_HOME", "talks", "@/talks"),
    ("KB_HOME", "../talks", "@/../talks"),
    ("KB_PRESETS_FILE", "presets.yaml", "@/presets.yaml"),
    ("KB_MODEL_CACHE", "./models", "@/models"),
    ("KB_COOKIES_FILE", "secrets/cookies.txt", "@/secrets/cookies.txt"),
    ("KB_FOLDER_SINK", "vault", "@/vault"),
    ("YT_API_KEYS_FILE", "keys.txt", "@/keys.txt"),
    ("KB_INGEST_FOLDERS", "in, /srv/out,other", "@/in,/srv/out,@/other"),
    ("KB_MODEL", "./model", "@/model"),
    ("KB_MODEL", "../model", "@/../model"),
    ("KB_MODEL", "openai/whisper-base", "openai/whisper-base"),
    ("KB_MODEL", "large-v3", "large-v3"),
    ("KB_MODEL", "demo", "demo"),
    ("KB_MODEL", "/srv/model", "/srv/model"),
    ("KB_QWEN_ALIGNER", "./aligner", "@/aligner"),
    ("KB_EMBEDDING_MODEL", "sentence-transformers:./e5", "sentence-transformers:@/e5"),
    ("KB_EMBEDDING_MODEL", "intfloat/e5-small", "intfloat/e5-small"),
    ("KB_REPAIR_ENGINE", "whisper:./large", "whisper:@/large"),
    ("KB_REPAIR_ENGINE", "whisper:openai/whisper-large-v3", "whisper:openai/whisper-large-v3"),
    ("KB_FOLDER_SINK", "/srv/vault", "/srv/vault"),
    ("KB_COOKIES_FILE", "~/cookies.txt", "~/cookies.txt"),
    ("KB_LANGUAGE", "de", "de"),
]
FIELDS = {str(field.alias): name for name, field in Settings.model_fields.items()}


def expected_at(folder: Path, text: str) -> str:
    return text.replace("@", str(folder))


def value_of(name: str) -> str:
    return str(getattr(get_settings(), FIELDS[name]))


@pytest.mark.parametrize(("name", "value", "expected"), RELATIVE)
def test_a_relative_path_of_the_file_begins_at_its_folder(
    project: Path, name: str, value: str, expected: str
) -> None:
    write(project / ".env", f"{name}='{value}'\n")
    assert value_of(name) == expected_at(project, expected)


@pytest.mark.parametrize(("name", "value", "expected"), RELATIVE)
def test_a_relative_path_of_the_environment_begins_where_it_was_typed(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    name: str, value: str, expected: str,
) -> None:  # fmt: skip
    """Also for a process that this one starts in another folder."""
    monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    assert value_of(name) == expected_at(tmp_path, expected)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    get_settings.cache_clear()
    assert value_of(name) == expected_at(tmp_path, expected)


def test_a_named_file_has_its_own_folder(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "conf").mkdir()
    write(tmp_path / "conf" / "mine.env", "KB_COOKIES_FILE=c.txt\nHF_HOME=hub\nHF_HUB_OFFLINE=1\n")
    monkeypatch.setenv("KB_ENV_FILE", "conf/mine.env")
    monkeypatch.delenv("HF_HOME", raising=False)
    assert value_of("KB_COOKIES_FILE") == str(tmp_path / "conf" / "c.txt")
    assert os.environ["HF_HOME"] == str(tmp_path / "conf" / "hub")
    assert os.environ["HF_HUB_OFFLINE"] == "1"


@pytest.mark.parametrize("value", ["./evil", "../evil", "/tmp/evil", "~/evil", "a\\b", "."])
def test_the_file_of_the_current_folder_names_no_folder(
    project: Path, tmp_path: Path, value: str
) -> None:
    path = write(tmp_path / ".env", f"KB_LANGUAGE=de\nKB_MODEL={value}\n")
    with raises(SettingsError, "setting.untrusted_folder", path=str(path), line=2):
        get_settings()


@pytest.mark.parametrize("name", ["evil", "org/evil"])
def test_a_plain_name_of_a_setting_is_no_folder_here(
    project: Path, tmp_path: Path, name: str
) -> None:
    from kb.inference.session import InferenceSession

    (tmp_path / name).mkdir(parents=True)
    write(tmp_path / ".env", f"KB_MODEL={name}\n")
    with raises(ModelUnavailable, "model.folder_here"):
        InferenceSession(get_settings()).model_name()
    # The option of a command is typed here, and may mean a folder here.
    assert InferenceSession(get_settings()).model_name("evil") == "evil"


def test_keys_of_the_current_folder_are_not_used(project: Path, tmp_path: Path) -> None:
    from kb.database import Database
    from kb.service.health_sources import _keys

    mine, theirs = fake_key("mine"), fake_key("theirs")
    write(tmp_path / "YT_API_keys.txt", theirs)
    settings = get_settings()
    assert read_keys(settings) == ()
    database = Database.open(settings.replace(home=tmp_path / "home"))
    check = _keys(settings, database, lambda: 0.0)
    database.close()
    assert str(tmp_path / "YT_API_keys.txt") in check.detail and str(project) in check.fix
    assert key_file_path(settings) == project / "YT_API_keys.txt"
    write(project / "YT_API_keys.txt", mine)
    assert [key.secret for key in read_keys(get_settings())] == [mine]


# Values that are refused when they are read

REFUSED = [
    ("KB_ENGINE", "foo", "whisper"),
    ("KB_ENGINE", "Whisper", "whisper"),
    ("KB_ENGINE", "faster_whisper", "faster-whisper"),
    ("KB_REPAIR_ENGINE", "foo:openai/whisper-base", "parakeet"),
    ("KB_SINKS", "local,odn", "odin"),
    ("KB_SINKS", "obsidian", "folder"),
    ("KB_PRESET", "turbo", "stabil"),
    ("KB_DEVICE", "gpu", "cuda:N"),
    ("KB_DEVICE", "cuda:x", "cuda:N"),
    ("KB_DTYPE", "fp16", "float16"),
    ("KB_COMPUTE_TYPE", "int4", "int8_float16"),
    ("KB_KEEP", "wav", "mp3"),
    ("KB_LOG_LEVEL", "loud", "warning"),
    ("KB_LANGUAGE", "german", "de"),
    ("KB_LANGUAGE", "xx", "auto"),
    ("KB_LANGUAGE", "en-US", "en"),
    ("ODIN_LISTING", "all", "paged"),
]


@pytest.mark.parametrize(("name", "value", "known"), REFUSED)
def test_a_value_that_is_no_choice_is_refused_with_file_and_line(
    project: Path, capsys: pytest.CaptureFixture[str], name: str, value: str, known: str
) -> None:
    path = write(project / ".env", f"# mine\n\n{name}={value}\n")
    assert run(["status"]) == 2
    shown = capsys.readouterr().err
    assert f"{name} in {path}, line 3" in shown and known in shown and "Traceback" not in shown


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KB_ENGINE", "faster-whisper"), ("KB_SINKS", "local, odin"), ("KB_SINKS", "folder,"),
        ("KB_PRESET", "max"), ("KB_PRESET", "MAX"), ("KB_PRESET", "Optimiert"),
        ("KB_DEVICE", "CUDA:1"), ("KB_DEVICE", "hip"), ("KB_COMPUTE_TYPE", "INT8"),
        ("KB_LOG_LEVEL", "Debug"), ("KB_LANGUAGE", "DE"), ("KB_LANGUAGE", "Auto"),
        ("KB_LANGUAGE", "yue"), ("KB_REPAIR_ENGINE", "whisper:large-v3"), ("KB_ENGINE", ""),
    ],
)  # fmt: skip
def test_a_known_value_is_accepted_in_any_case(project: Path, name: str, value: str) -> None:
    from kb.service.setting_choices import check_choices

    write(project / ".env", f"{name}={value}\n")
    check_choices(get_settings())


def test_a_file_of_presets_needs_no_preset_of_the_default_s_name(
    project: Path, tmp_path: Path
) -> None:
    from kb.service.setting_choices import choice_mistakes

    text = "mine:\n  label: Mine\n  batch_size: 2\n  chunk_s: 30\n  overlap_s: 2\n"
    write(
        project / "mine.yaml",
        f"presets:\n{text}  workers: 1\n  timestamps: word\n  vram_budget_gb: 4\n",
    )
    write(project / ".env", "KB_PRESETS_FILE=mine.yaml\n")
    assert list(choice_mistakes(get_settings())) == []


@pytest.mark.parametrize(
    "text",
    [
        *(f"{name}={value}" for name, value, _ in REFUSED),
        "KB_HOM=/x", "KB_HOME", 'KB_HOME="a', "KB_WORKERS=many\nKB_DEVICE=gpu\nKB_ENGINE=foo",
    ],
)  # fmt: skip
def test_the_doctor_reports_faulty_settings(project: Path, text: str) -> None:
    """And the settings are strict again afterwards."""
    from kb.service.health import _faulty_settings, _settings
    from kb.settings import tolerant_settings

    path = write(project / ".env", f"{text}\n")
    with tolerant_settings():
        found = _faulty_settings(get_settings())
        assert _settings().state == "ok"
    assert len(found) == text.count("\n") + 1
    assert all(check.state == "fail" for check in found)
    assert all(f"{path}, line" in f"{check.detail}{check.fix}" for check in found)
    if not text.startswith(("KB_ENGINE", "KB_REPAIR_ENGINE", "KB_SINKS", "KB_PRESET")):
        with pytest.raises(SettingsError):
            current_sources()


@pytest.mark.parametrize("command", ["doctor --json", "--version", "status --help"])
def test_commands_that_run_with_faulty_settings(
    project: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr("kb.service.health.check_all", lambda *_: [])
    write(project / ".env", "KB_DEVICE=gpu\nKB_ENGINE=foo\nKB_WORKERS=many\n")
    assert run(command.split()) == 0
    with pytest.raises(SettingsError):
        get_settings()
