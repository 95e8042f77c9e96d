"""The browser that the tests drive: installed once, and never missing without a failure in CI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kb.settings import PROJECT_ROOT
from tests.support import browser
from tests.support.waiting import WAIT_S

# Refuses to run twice at once, as the real one does, and installs a browser that is a text.
APT_GET = """#!/bin/sh
/bin/mkdir "{folder}/locked" || exit 100
/bin/sleep 0.5
for last in "$@"; do :; done
if [ "$last" = chromium ]; then
    echo install >> "{folder}/installed"
    echo "#!/bin/sh" > "{folder}/bin/chromium"
    /bin/chmod +x "{folder}/bin/chromium"
fi
/bin/rmdir "{folder}/locked"
"""


@pytest.mark.slow
@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root installs packages"
)
def test_two_processes_install_it_once(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    apt_get = tmp_path / "bin" / "apt-get"
    apt_get.write_text(APT_GET.format(folder=tmp_path))
    apt_get.chmod(0o755)
    script = "from tests.support.browser import chromium; print(chromium())"
    environment = {**os.environ, "PATH": str(tmp_path / "bin"), "PYTHONPATH": str(PROJECT_ROOT)}
    asking = [
        subprocess.Popen(
            [sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    found = [process.communicate(timeout=WAIT_S)[0].strip() for process in asking]
    assert found == [str(tmp_path / "bin" / "chromium")] * 2
    assert (tmp_path / "installed").read_text().split() == ["install"]


@pytest.mark.parametrize(("ci", "outcome"), [("true", "Failed"), ("", "Skipped")])
def test_a_missing_browser_fails_in_ci_and_is_skipped_elsewhere(
    monkeypatch: pytest.MonkeyPatch, ci: str, outcome: str
) -> None:
    def missing() -> str:
        raise RuntimeError("No Chromium.")

    monkeypatch.setattr(browser, "chromium", missing)
    monkeypatch.setenv("CI", ci)
    with pytest.raises(BaseException, match="No Chromium") as caught:
        browser.require_browser()
    assert type(caught.value).__name__ == outcome
