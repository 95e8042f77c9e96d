"""The files that come with the program: presets, models, samples and the page of the dashboard.

A checkout has them at its top. An installed package has copies of them in `kb/_data`, which the
build makes (`tools/build_data.py`).
"""

from pathlib import Path

_TOP = Path(__file__).resolve().parents[2]
_COPIES = _TOP / "kb" / "_data"
BUNDLED = _COPIES if _COPIES.is_dir() else _TOP
