"""Copy the files that the program needs beside its modules into a built package.

In a checkout they lie at the top, where people look for them. A wheel has them in `kb/_data`, with
the same names below it (`kb/storage/bundled.py` finds both). An editable installation has none.
"""

from __future__ import annotations

from pathlib import Path

from setuptools.command.build_py import build_py

DATA = "kb/_data"
FILES = ("presets.yaml", "models.yaml", "streamlit_app.py", ".streamlit/config.toml")
FOLDERS = ("models/demo-whisper", "samples")


def data_files(root: Path) -> list[Path]:
    """Return the files to copy, relative to `root`. Raises FileNotFoundError naming a missing one.

    Secrets that a user may have beside `config.toml` are not among them.
    """
    found = [Path(name) for name in FILES]
    for name in FOLDERS:
        inside = sorted(path for path in (root / name).rglob("*") if path.is_file())
        if not inside:
            raise FileNotFoundError(f"{root / name} is missing or empty.")
        found += [path.relative_to(root) for path in inside]
    for path in found:
        if not (root / path).is_file():
            raise FileNotFoundError(f"{root / path} is missing.")
    return found


class BuildPy(build_py):
    """The usual step, and the copies."""

    def run(self) -> None:
        """Build the modules; copy the files, but for an editable installation."""
        super().run()
        if not self.editable_mode:
            for path in data_files(Path.cwd()):
                target = Path(self.build_lib, DATA, path)
                self.mkpath(str(target.parent))
                self.copy_file(str(path), str(target))

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """Return what the step writes, the copies included."""
        outputs: list[str] = super().get_outputs(include_bytecode)
        if not self.editable_mode:
            outputs += [str(Path(self.build_lib, DATA, path)) for path in data_files(Path.cwd())]
        return outputs
