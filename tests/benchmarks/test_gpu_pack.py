"""The pack for a bare GPU machine: parts of a limited size that are unpacked by a shell."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tools.gpu_pack import PACKAGES, pack, requirements, unpack_wheels


def wheel(path: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)


def test_the_parts_are_small_and_give_every_file_again(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).bytes(70_000)  # does not get smaller by compression
    wheels, site, target = tmp_path / "wheels", tmp_path / "site", tmp_path / "parts"
    wheels.mkdir()
    wheel(wheels / "one.whl", {"one/__init__.py": b"x = 1\n", "one/data.bin": noise})
    binary = "imageio_ffmpeg/binaries/ffmpeg-linux-x86_64-v9"
    wheel(wheels / "ff.whl", {"imageio_ffmpeg/__init__.py": b"", binary: noise[::-1]})
    unpack_wheels(wheels, site)
    parts = pack(site, target, part_bytes=30_000)
    assert all(part.stat().st_size <= 30_000 for part in parts)
    assert [p.name for p in parts if p.name.startswith("ffmpeg")][:2] == [
        "ffmpeg.tar.xz.000", "ffmpeg.tar.xz.001",
    ]  # fmt: skip
    place = tmp_path / "a place"
    subprocess.run(["bash", str(target / "unpack.sh"), str(place)], check=True, timeout=60)
    for path in (path for path in site.rglob("*") if path.is_file()):
        assert (place / "site" / path.relative_to(site)).read_bytes() == path.read_bytes()
    assert (place / "site" / binary).stat().st_mode & 0o100


def test_a_pack_without_ffmpeg_is_refused(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "one.py").write_text("")
    with pytest.raises(ValueError, match="no binary of ffmpeg"):
        pack(tmp_path / "site", tmp_path / "parts")


def test_packages_that_the_machine_has_are_left_out() -> None:
    wanted = requirements({"numpy", "transformers"})
    names = [each.partition("==")[0] for each in wanted]
    # What a package needs comes with it, unless the machine has the package.
    assert {"av", "pydantic", "pydantic-core", "cffi", "faster-whisper"} <= set(names)
    assert not {"numpy", "transformers", "tokenizers", "torch", "ctranslate2"} & set(names)
    assert all("==" in each for each in wanted)
    every = {each.partition("==")[0] for each in requirements(set())}
    assert {"tokenizers", "huggingface-hub", "safetensors", *map(str.lower, PACKAGES)} <= {
        *every, "ruamel.yaml",
    }  # fmt: skip
