#!/usr/bin/env python3
"""Pack what a bare GPU machine lacks for ``benchmarks/gpu.py`` into parts of at most 60 MiB.

    python tools/gpu_pack.py FOLDER --python 3.12
    bash FOLDER/unpack.sh PLACE         on the GPU machine, which needs Python and PyTorch only
    PYTHONPATH=PLACE/site:. python benchmarks/gpu.py

The wheels are those of the packages in this environment, of the same versions, for Linux and the
Python of the GPU machine. ``--have`` names packages that it already has. ffmpeg's binary is in an
archive of its own, because it is as large as all the rest. Needs pip, tar and the package index.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PART_BYTES = 60 * 2**20
# Distributions whose modules the model's process and the benchmark load; what they need comes with
# them. PyTorch is on the machine.
PACKAGES = [
    "transformers", "onnxruntime", "numpy", "av", "imageio-ffmpeg", "pydantic", "python-dotenv",
    "ruamel.yaml", "psutil", "pathvalidate", "sqlalchemy", "platformdirs", "soundfile",
    "nvidia-ml-py", "typer", "rich",
]  # fmt: skip
WITHOUT_NEEDS = ["faster-whisper"]  # only its detector's file is read
ON_MACHINE = {"torch", "triton"}
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
FFMPEG = "imageio_ffmpeg/binaries/"  # the folder of the binary inside its wheel

UNPACK = """#!/bin/bash
# Unpack both archives into the folder PLACE (default: the current one).
set -e
here="$(cd "$(dirname "$0")" && pwd)"
place="${1:-.}"
mkdir -p "$place/site"
for name in libraries ffmpeg; do
  cat "$here/$name".tar.xz.* | tar -xJf - -C "$place/site"
done
chmod -f +x "$place"/site/imageio_ffmpeg/binaries/ffmpeg-* || true
"""


def requirements(have: set[str]) -> list[str]:
    """Return the packages and all that they need, with the versions of this environment.

    Those in `have`, and what only they need, are left out.
    """
    found: dict[str, str] = {}
    waiting = [*PACKAGES, *WITHOUT_NEEDS]
    while waiting:
        name = canonicalize_name(waiting.pop(0))
        if name in found or name in ON_MACHINE | {canonicalize_name(each) for each in have}:
            continue
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            print(f"{name} is not installed here: left out", file=sys.stderr)
            continue
        if name not in WITHOUT_NEEDS:
            needs = map(Requirement, requires(name) or [])
            waiting += [each.name for each in needs if not each.marker or each.marker.evaluate()]
    return [f"{name}=={number}" for name, number in found.items()]


def download(wanted: list[str], python: str, folder: Path) -> None:
    """Fetch the wheels into `folder`. Raises CalledProcessError; pip says which one is missing."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder]
    command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", python]
    for platform in PLATFORMS:
        command += ["--platform", platform]
    subprocess.run([*map(str, command), *wanted], check=True)


def unpack_wheels(wheels: Path, site: Path) -> None:
    """Unpack all wheels of a folder into one folder that may stand in PYTHONPATH."""
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)


def pack(site: Path, target: Path, part_bytes: int = PART_BYTES) -> list[Path]:
    """Write both archives in numbered parts, and `unpack.sh`; return the parts.

    Raises ValueError if `site` has no binary of ffmpeg.
    """
    files = sorted(path for path in site.rglob("*") if path.is_file())
    is_binary = {path: path.relative_to(site).as_posix().startswith(FFMPEG) for path in files}
    binaries = [path for path in files if is_binary[path] and path.name.startswith("ffmpeg")]
    if not binaries:
        raise ValueError(f"{site}: no binary of ffmpeg in {FFMPEG}.")
    target.mkdir(parents=True, exist_ok=True)
    parts = []
    for name, some in (
        ("libraries", [path for path in files if path not in binaries]),
        ("ffmpeg", binaries),
    ):
        whole = target / f"{name}.tar.xz"
        with tarfile.open(whole, "w:xz", preset=5) as archive:
            for path in some:
                archive.add(path, path.relative_to(site).as_posix())
        parts += _split(whole, part_bytes)
    (target / "unpack.sh").write_text(UNPACK, encoding="utf-8")
    return parts


def _split(whole: Path, part_bytes: int) -> list[Path]:
    """Replace a file by numbered parts; `cat` of them in their order is the file."""
    parts = []
    with whole.open("rb") as source:
        while data := source.read(part_bytes):
            part = whole.with_name(f"{whole.name}.{len(parts):03}")
            part.write_bytes(data)
            parts.append(part)
    whole.unlink()
    return parts


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where the parts are written")
    parser.add_argument("--python", default="3.12", help="the GPU machine's Python")
    parser.add_argument("--have", nargs="*", default=[], help="packages that it already has")
    options = parser.parse_args(arguments)
    with TemporaryDirectory() as name:
        wheels, site = Path(name, "wheels"), Path(name, "site")
        download(requirements({p.lower() for p in options.have}), options.python, wheels)
        unpack_wheels(wheels, site)
        parts = pack(site, options.folder)
    for part in parts:
        print(f"{part}: {part.stat().st_size / 2**20:.1f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
