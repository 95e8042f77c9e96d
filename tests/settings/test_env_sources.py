"""The environment and `.env` files: which are read, what they may set, and lines without effect."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from kb.errors import SettingsError
from kb.settings import current_sources, env_file, get_settings, origin
from kb.settings.env_sources import SAFE_NAMES, SYNONYMS
from kb.settings.process_environment import python_command
from kb.settings.settings import ALIASES
from tests.support.raising import raises

SECRET = "hush-" + "hush-42"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*SYNONYMS, "KB_ENV_FILE", "KB_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project's folder; the current folder is another one."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.setattr("kb.settings.settings.ENV_FOLDER", folder)
    return folder


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    get_settings.cache_clear()
    return path


# Which files are read


def test_the_project_s_file_is_trusted(project: Path) -> None:
    write(project / ".env", "KB_PRESET=max\nKB_HOME=/srv/talks\nODIN_BASE_URL=https://a.example\n")
    settings = get_settings()
    assert (settings.preset, settings.odin_base_url) == ("max", "https://a.example")
    assert origin("KB_PRESET").values["line"] == 1
    assert origin("KB_HOME").values["path"] == str(project / ".env")
    assert origin("KB_MODEL").code == "source.unset"


def test_a_named_file_takes_the_place_of_the_project_s(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(project / ".env", "KB_PRESET=max\nKB_LANGUAGE=fr\n")
    write(tmp_path / "mine.env", "KB_LANGUAGE=de\n")
    monkeypatch.setenv("KB_ENV_FILE", "mine.env")
    assert (get_settings().preset, get_settings().language) == ("optimiert", "de")
    assert env_file.env_file() == tmp_path / "mine.env"
    assert os.environ["KB_ENV_FILE"] == str(tmp_path / "mine.env")  # for processes elsewhere


@pytest.mark.parametrize("name", ["none.env", "folder"])
def test_a_named_file_must_be_readable(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "folder").mkdir()
    monkeypatch.setenv("KB_ENV_FILE", name)
    with raises(SettingsError, "setting.env_file", path=str(tmp_path / name)):
        get_settings()


def test_no_file_at_all(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(project / ".env", "KB_PRESET=max\n")
    monkeypatch.setenv("KB_ENV_FILE", os.devnull)
    assert get_settings().preset == "optimiert"


def test_the_current_folder_may_set_the_safe_names(project: Path, tmp_path: Path) -> None:
    write(project / ".env", "KB_PRESET=max\nKB_MODEL=large-v3\n")
    write(tmp_path / ".env", "KB_MODEL=demo\nKB_LANGUAGE='de' # here\nPORT=8080\nNODE_ENV\n")
    settings = get_settings()
    assert (settings.preset, settings.model, settings.language) == ("max", "demo", "de")
    assert origin("KB_MODEL").values["path"] == str(tmp_path / ".env")
    with raises(SettingsError, "setting.other_file"):
        env_file.change({"KB_MODEL": "tiny"})


@pytest.mark.parametrize(
    "name",
    [
        *sorted({*ALIASES, *SYNONYMS} - SAFE_NAMES),
        *("KB_HOM", "kb_home", "KB_ENV_FILE", "HF_HOME", "HF_TOKEN", "HF_ENDPOINT"),
        *("CUDA_LAUNCH_BLOCKING", "PYTORCH_ALLOC_CONF", "ODIN_URL", "YT_ANYTHING"),
    ],
)
def test_the_current_folder_may_set_nothing_else(project: Path, tmp_path: Path, name: str) -> None:
    path = write(tmp_path / ".env", f"# of a stranger\nexport {name}={SECRET}\n")
    with raises(SettingsError, "setting.untrusted", path=str(path), line=2, name=name) as caught:
        get_settings()
    assert SECRET not in f"{caught.value.message}{caught.value.hint}{caught.value.values}"
    assert str(path) in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "PORT=3000\nDATABASE_URL=postgres://u:p@h/x\n",
        "APP_KEY=base64:abc\nthis is : no line\n'unclosed",
        "",
        "\n# only a comment\n",
        "SKB_HOME=1\nMY_API_KEY=2\nMAP_API_KEY_FILE=x\n",
        "[section]\nkey = value\n",
        "export PATH=$PATH:/opt/x\n",
        "NAME=${NOT_THERE}\n",
        "BCRYPT='$2b$10$abc'\n",
    ],
)
def test_the_file_of_another_program_is_passed_over(
    project: Path, tmp_path: Path, text: str
) -> None:
    write(tmp_path / ".env", text)
    assert get_settings().preset == "optimiert"


def test_a_virtual_environment_called_env_is_passed_over(project: Path, tmp_path: Path) -> None:
    for folder in (project, tmp_path):
        (folder / ".env").mkdir()
        (folder / ".env" / "pyvenv.cfg").touch()
    assert get_settings().preset == "optimiert"


def test_a_stranger_s_file_copies_no_secret_into_a_safe_name(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_SECRET", SECRET)
    write(tmp_path / ".env", "KB_MODEL=evil/${API_SECRET}\n")
    with raises(SettingsError, "setting.undefined_variable") as caught:
        get_settings()
    assert SECRET not in str(caught.value)


# Lines without effect


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ('KB_HOME="C:\\new\\talks"', "setting.control_character", 1),
        ('A=1\n\nKB_HOME="C:\\bin\\files"', "setting.control_character", 3),
        ('KB_HOME="/a/b\nc"', "setting.control_character", 1),
        ("KB_HOME=a\x07b", "setting.control_character", 1),
        ("API_SECRET=a\x1bb", "setting.control_character", 1),
        ('# x\nKB_HOME="/my lib', "setting.line", 2),
        ("KB_HOME='/my lib\nKB_MODEL=demo", "setting.line", 1),
        ("KB_MODEL : demo", "setting.line", 1),
        ("KB_MODEL: demo", "setting.line", 1),
        ("KB_MODEL demo", "setting.line", 1),
        ("KB_MODEL", "setting.line", 1),
        ("A=1\nexport KB_MODEL", "setting.line", 2),
        ("$env:KB_MODEL='demo'", "setting.line", 1),
        ("A=1\n$env:KB_MODEL = 'demo'", "setting.line", 2),
        ("KB-HOME=/x", "setting.line", 1),
        ('{"KB_MODEL":"demo"}', "setting.line", 1),
        ("set:KB_MODEL=demo", "setting.line", 1),
        ("KB_HOME=\u201c/my lib\u201d", "setting.typographic_quotes", 1),
        ("KB_HOME=\u201e/my lib\u201c", "setting.typographic_quotes", 1),
        ("\nKB_HOME=\u2018/my lib\u2019", "setting.typographic_quotes", 2),
        ("KB_HOME=\u00ab/my lib\u00bb", "setting.typographic_quotes", 1),
        ("KB_HOM=/x", "setting.misspelt", 1),
        ("\n\nkb_home=/x", "setting.misspelt", 3),
        ("KB_PRSET=max", "setting.misspelt", 1),
        ("ODIN_API_KEYS=x", "setting.misspelt", 1),
        ("YT_API_KEY_FILE=x", "setting.misspelt", 1),
        ("KB_NO_SUCH_THING=1", "setting.unknown_in_file", 1),
        ("ODIN_COLOUR=1", "setting.unknown_in_file", 1),
        ("KB_ENV_FILE=x", "setting.env_file_in_file", 1),
        ("KB_HOME=/x/${NOT_SET_ANYWHERE}", "setting.undefined_variable", 1),
        ("API_SECRET=ab${HOMEE}cd", "setting.undefined_variable", 1),
    ],
)
def test_a_line_without_effect_is_an_error_with_file_and_line(
    tmp_path: Path, text: str, code: str, line: int
) -> None:
    path = write(tmp_path / ".env", text + "\n")
    with pytest.raises(SettingsError) as caught:
        get_settings()
    assert caught.value.code == code
    found = caught.value.values.get("origin", {}).get("values", caught.value.values)
    assert (found["path"], found["line"]) == (str(path), line)
    shown = f"{caught.value.message}{caught.value.hint}"
    assert f"{path}, line {line}" in shown and "talks" not in shown and "my lib" not in shown


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"KB_HOME='C:\new\talks'", r"C:\new\talks"),
        (r"KB_HOME=C:\new\talks", r"C:\new\talks"),
        (r'KB_HOME="C:\\new"', r"C:\new"),
        ("export KB_HOME = /a b # comment", "/a b"),
        ("KB_HOME=/a${EMPTY:-b}", "/ab"),
        ("BASE=/srv\nKB_HOME=${BASE}/x", "/srv/x"),
        ("KB_HOME=/price$5/$HOME", "/price$5/$HOME"),
        ("\ufeffKB_HOME=/a", "/a"),
        ("my-program.name=1\nKB_HOME=/Bob\u2019s talks\u2019", "/Bob\u2019s talks\u2019"),
        ("KB_HOME=/a\r\nKB_MODEL=demo\r\n", "/a"),
        ("OTHER_PROGRAM=1\nANYTHING\nKB_HOME=/Bücher/größe", "/Bücher/größe"),
        ("KB_HOME=/a\nKB_HOME=/b", "/b"),
    ],
)
def test_lines_that_are_right(tmp_path: Path, text: str, value: str) -> None:
    write(tmp_path / ".env", text)
    assert current_sources().values["KB_HOME"] == value


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "latin-1"]
)
def test_every_encoding_of_an_editor(tmp_path: Path, encoding: str) -> None:
    (tmp_path / ".env").write_bytes("KB_HOME=/Jürgen\r\nKB_MODEL=demo\r\n".encode(encoding))
    values = current_sources().values
    assert (values["KB_HOME"], values["KB_MODEL"]) == ("/Jürgen", "demo")
    env_file.change({"KB_LANGUAGE": "de"})
    assert current_sources().values["KB_HOME"] == "/Jürgen"


@pytest.mark.parametrize("data", [b"KB_HOME=a\0b\n", b"KB_HOME=\x81\x8d\n", b"x" * 2**21])
def test_a_file_that_is_no_text(tmp_path: Path, data: bytes) -> None:
    (tmp_path / ".env").write_bytes(data)
    with raises(SettingsError, "setting.file_unreadable", path=str(tmp_path / ".env")):
        get_settings()


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes in folders there")
def test_a_pipe_in_the_place_of_the_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".env")
    with raises(SettingsError, "setting.file_unreadable"):
        get_settings()


def test_a_near_miss_in_the_environment_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("KB_HOM", "KB_DASHBOARD_OF_ANOTHER", "YT_DLP_OPTS", "ODIN_ROOT"):
        monkeypatch.setenv(name, SECRET)
    assert current_sources().misspelt == {"KB_HOM": "KB_HOME"}
    assert "KB_HOM," in caplog.text and SECRET not in caplog.text


# Names that other programs use too


@pytest.mark.parametrize(
    ("environment", "file", "expected"),
    [
        ({"API_KEY": "other"}, "ODIN_API_KEY=mine\n", "mine"),
        ({"API_KEY": "other", "ODIN_API_KEY": "mine"}, "API_KEY=x\nODIN_API_KEY=y\n", "mine"),
        ({"API_KEY": "mine"}, "API_KEY=x\n", "mine"),
        ({"API_KEY": "mine"}, "ODIN_API_KEY=\n", "mine"),
        ({}, "API_KEY=mine\n", "mine"),
    ],
)
def test_our_own_name_of_the_key_wins(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    environment: Mapping[str, str],
    file: str,
    expected: str,
) -> None:
    write(tmp_path / ".env", file)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert get_settings().odin_api_key.get_secret_value() == expected


def test_the_place_of_the_key_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / ".env", "API_KEY=x\nODIN_API_SECRET=y\n")
    monkeypatch.setenv("API_KEY", "of another program")
    assert origin("API_KEY").message == "API_KEY in the environment"
    assert origin("API_SECRET").message == f"ODIN_API_SECRET in {tmp_path / '.env'}, line 2"


def test_a_change_goes_to_the_name_in_use(tmp_path: Path) -> None:
    path = write(tmp_path / ".env", "ODIN_API_SECRET=old\n")
    assert env_file.change({"API_SECRET": "new"}).odin_api_secret.get_secret_value() == "new"
    assert path.read_text() == "ODIN_API_SECRET='new'\n"


# Processes

_PROBE = """
import json, os, sys
sys.path.insert(0, {root!r})
from pathlib import Path
import kb.settings.settings as settings
settings.ENV_FOLDER = Path({folder!r})
settings.get_settings()
names = ("HF_HOME", "HF_TOKEN", "CUDA_LAUNCH_BLOCKING", "PYTORCH_ALLOC_CONF",
         "PYTORCH_CUDA_ALLOC_CONF", "PYTHONSAFEPATH")
print(json.dumps([os.environ.get(name) for name in names]))
import multiprocessing
context = multiprocessing.get_context("spawn")
if __name__ == "__main__":
    process = context.Process(target=print, args=("child",))
    process.start(); process.join()
"""


def test_variables_of_libraries_take_effect_before_the_libraries_are_there(
    project: Path, tmp_path: Path
) -> None:
    """And nothing in the current folder is run, by this process or by the ones it starts."""
    write(
        project / ".env",
        "HF_HOME=/models\nHF_TOKEN=t\nCUDA_LAUNCH_BLOCKING=1\nPYTORCH_ALLOC_CONF=a:True\n",
    )
    trap = "open('ran', 'a').write(__name__)\n"
    for name in ("secrets", "multiprocessing", "signal", "pickle", "sitecustomize", "kb", "torch"):
        (tmp_path / f"{name}.py").write_text(trap)
    from kb.settings import PROJECT_ROOT

    hidden = ("PYTHONPATH", "PYTHONSAFEPATH")
    environment = {k: v for k, v in os.environ.items() if k not in hidden}
    for name in ("PYTORCH_CUDA_ALLOC_CONF", "HF_HOME", "HF_TOKEN"):
        environment.pop(name, None)
    code = _PROBE.format(root=str(PROJECT_ROOT), folder=str(project))
    done = subprocess.run(
        python_command("-c", code),
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    first, *rest = done.stdout.splitlines()
    assert first == '["/models", "t", "1", "a:True", null, "1"]'
    assert rest == ["child"]
    assert not (tmp_path / "ran").exists()


def test_the_environment_wins_over_library_variables_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", "/given")
    write(tmp_path / ".env", "HF_HOME=/file\n")
    get_settings()
    assert os.environ["HF_HOME"] == "/given"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (None, False),  # no file in the current folder
        ("", False),
        ("KB_MODEL=tiny\n", False),
        ("OTHER=1\n", False),
        ("KB_MODEL=tiny\nAPI_SECRET=x\n", True),  # KB_ENV_FILE names it
    ],
)
def test_the_file_that_is_written_is_the_one_that_secrets_are_read_from(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, named: bool
) -> None:
    here, trusted = Path.cwd() / ".env", project / ".env"
    if text is not None:
        here.write_text(text)
    if named:
        monkeypatch.setenv("KB_ENV_FILE", str(here))
        get_settings.cache_clear()
        trusted = here
    assert env_file.env_file() == trusted
    is_beside = text is not None and not named
    assert env_file.untrusted_file() == (here if is_beside else None)
    assert env_file.change({"API_SECRET": "new"}).odin_api_secret.get_secret_value() == "new"
    assert "API_SECRET" in trusted.read_text()
    if is_beside:
        assert here.read_text() == text


def test_nothing_is_written_where_no_file_is_read(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = tmp_path / "null"
    monkeypatch.setattr(os, "devnull", str(nothing))
    monkeypatch.setenv("KB_ENV_FILE", str(nothing))
    get_settings.cache_clear()
    assert env_file.is_off()
    with raises(SettingsError, "setting.no_file"):
        env_file.change({"KB_LANGUAGE": "de"})
    assert not nothing.exists()
