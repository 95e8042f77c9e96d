"""Every test has a library folder of its own and none of this machine's settings."""

from __future__ import annotations

import gc
import itertools
import os
import re
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

# Before torch is imported by anybody: tests run beside each other, and on small machines.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
# Steps after the words have tests of their own; in all others, fixtures of modules included, their
# models are missing.
os.environ["KB_STEP_MODELS"] = str(Path(tempfile.gettempdir(), "kb-tests-without-step-models"))
os.environ["KB_SAME_SOUND"] = "0"

import pytest

from kb.settings import Settings, get_settings
from tests.support import fixed_costs, order, secret_watch
from tests.support.workers import Lab

NO_STEP_MODELS = os.environ["KB_STEP_MODELS"]

_NUMBERS = itertools.count()  # of the folders of tests


def pytest_configure(config: pytest.Config) -> None:
    # Tests start about two hundred processes, and each would compile all modules that it imports.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    # Tests run in a temporary folder, and processes that they start import `tests` and
    # `benchmarks` from this project.
    os.environ["PYTHONPATH"] = str(config.rootpath)
    secret_watch.start(config)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    # Loading modules makes hardly any garbage; looking for it takes a sixth of the loading time.
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    processes = getattr(config, "workerinput", {}).get("workercount", 1)
    if processes > 1:
        items[:] = order.arrange(items, processes)


def pytest_collection_finish() -> None:
    # Modules and tests are millions of objects that stay. Without this, each collection of garbage
    # looks at all of them, and the code that is tested starts one whenever it unloads a model.
    gc.collect()
    gc.freeze()
    fixed_costs.lower()


@pytest.fixture(scope="session", autouse=True)
def temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A temporary folder for this process and those that it starts.

    Test processes run beside each other, and in the user's own folder all of them would share
    the file that keeps downloads of all libraries apart.
    """
    folder = tmp_path_factory.mktemp("tmp")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("TMPDIR", "TMP", "TEMP", "XDG_STATE_HOME"):
            patch.setenv(name, str(folder))
        patch.setattr(tempfile, "tempdir", str(folder))
        yield folder


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for one test, named for it.

    pytest itself reads the names of all folders before it makes one, in a run of thousands of them
    for milliseconds each.
    """
    name = re.sub(r"\W", "_", request.node.name)[:26]
    folder = tmp_path_factory.getbasetemp() / f"{name}{next(_NUMBERS)}"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture(autouse=True)
def clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary KB_HOME, no `.env`, no settings of the shell; returns the folder."""
    for field in Settings.model_fields.values():
        monkeypatch.delenv(str(field.alias), raising=False)
    home = tmp_path / "home"
    monkeypatch.setenv("KB_HOME", str(home))
    monkeypatch.setenv("KB_CPU_THREADS", "1")
    monkeypatch.setenv("KB_STEP_MODELS", NO_STEP_MODELS)
    monkeypatch.setenv("KB_SAME_SOUND", "0")
    # `.env` is looked for beside the package and in the working directory.
    monkeypatch.setattr("kb.settings.settings.ENV_FOLDER", tmp_path)
    monkeypatch.chdir(tmp_path)
    get_settings.cache_clear()
    yield home
    get_settings.cache_clear()


@pytest.fixture(autouse=True)
def restore_main() -> Iterator[None]:
    """A page that is tested stays behind as `__main__`, and spawned processes would run it."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A library with real worker processes; none of them outlives the test."""
    with Lab(tmp_path / "lab") as made:
        yield made
