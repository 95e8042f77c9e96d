"""cuBLAS of CUDA 12 for CTranslate2, beside the libraries of torch's own CUDA."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kb.asr.engines.faster_whisper.cublas import load_cublas
from kb.errors import SettingsError
from tests.support.raising import raises

LINUX = ("libcublasLt.so.12", "libcublas.so.12")
WINDOWS = ("cublasLt64_12.dll", "cublas64_12.dll")


@pytest.mark.parametrize(
    ("platform", "system", "package", "missing"),
    [
        ("linux", LINUX, (), ""),  # a toolkit of CUDA 12, or a torch of CUDA 12
        ("linux", (), LINUX, ""),  # the package of pip
        ("linux", LINUX[:1], LINUX[1:], ""),
        ("linux", ("libcublasLt.so.13", "libcublas.so.13"), (), LINUX[0]),  # torch's own CUDA 13
        ("linux", LINUX[:1], (), LINUX[1]),
        ("win32", WINDOWS, (), ""),
        ("win32", (), WINDOWS, ""),
        ("win32", ("cublas64_13.dll",), (), WINDOWS[0]),
        ("darwin", (), (), ""),
    ],
)
def test_the_libraries_are_loaded_or_the_command_is_named(
    platform: str,
    system: tuple[str, ...],
    package: tuple[str, ...],
    missing: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sub = tmp_path / "nvidia" / "cublas" / ("bin" if platform == "win32" else "lib")
    if package:
        sub.mkdir(parents=True)
        (sub.parent / "__init__.py").touch()
        (sub.parent.parent / "__init__.py").touch()
    for name in package:
        (sub / name).touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    for module in [name for name in sys.modules if name.split(".")[0] == "nvidia"]:
        monkeypatch.delitem(sys.modules, module)
    opened: list[str] = []

    def load(path: str) -> None:
        if path not in system and not Path(path).is_file():
            raise OSError(f"{path}: cannot open shared object file")
        opened.append(Path(path).name)

    if not missing:
        load_cublas(platform, load)
        assert opened == list(LINUX if platform == "linux" else WINDOWS)[: len(opened)]
        assert len(opened) == (0 if platform == "darwin" else 2)
        return
    with raises(SettingsError, "engine.no_cublas", library=missing) as caught:
        load_cublas(platform, load)
    assert "pip install nvidia-cublas-cu12" in caught.value.hint


def test_the_real_loader_of_this_machine() -> None:
    """No library of this name, or a loaded one: never another error."""
    try:
        load_cublas()
    except SettingsError as error:
        assert error.code == "engine.no_cublas"
