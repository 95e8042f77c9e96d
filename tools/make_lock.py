"""Write requirements.lock: the versions that the tests run with here, each with its hashes.

    python tools/make_lock.py            (make lock)

It has what `make setup` installs, for every system and every Python that the project allows:
versions that this environment has stay, the others are the newest that fit. PyTorch is not in it,
nor what its builds for CUDA bring: which build is right is the driver's matter
(`tools/torch_choice.py`), and constraints.txt pins its version.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from importlib.metadata import distributions
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
EXTRAS = ("test", "lint", "screen", "meaning")  # what `make setup` installs
LEFT_OUT = re.compile(r"^(torch|triton|kb-ingest|nvidia-(?!ml-py)[a-z0-9-]+|cuda-[a-z0-9-]+)$")
HEAD = """\
# The versions that the tests run with, with hashes; without PyTorch. Made by `make lock`;
# installed by `make setup LOCKED=1`.
"""


def installed() -> list[str]:
    """Return the versions of this environment as constraints."""
    found = {canonicalize_name(each.metadata["Name"]): each.version for each in distributions()}
    return [
        f"{name}=={Version(version).public}"
        for name, version in sorted(found.items())
        if not LEFT_OUT.match(name)
    ]


def entries(compiled: str) -> dict[str, str]:
    """Return the entries of a compiled list by their names; versions for other Pythons together."""
    found: dict[str, str] = {}
    for entry in re.findall(r"^\w.*(?:\n +.*)*\n", compiled, re.MULTILINE):
        name = canonicalize_name(re.split(r"[=\[ ]", entry, maxsplit=1)[0])
        found[name] = found.get(name, "") + entry
    return found


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "installed.txt"
        constraints.write_text("\n".join(installed()) + "\n", encoding="utf-8")
        compiled = Path(folder) / "compiled.txt"
        subprocess.run(
            [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal",
             "--python-version", "3.11", "--generate-hashes", "--no-annotate", "--no-header",
             "--constraint", "constraints.txt", "--constraint", str(constraints),
             *(word for extra in EXTRAS for word in ("--extra", extra)),
             "--output-file", str(compiled), "pyproject.toml"],
            cwd=ROOT, check=True,
        )  # fmt: skip
        found = entries(compiled.read_text(encoding="utf-8"))
    kept = [entry for name, entry in sorted(found.items()) if not LEFT_OUT.match(name)]
    LOCK.write_text(HEAD + "".join(kept), encoding="utf-8")
    print(f"{LOCK.name}: {len(kept)} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
