"""One picture of a video as a PNG file."""

from __future__ import annotations

from pathlib import Path

from kb.media.probe import input_arguments, probe, start_arguments
from kb.media.section import is_exact
from kb.video.encoder import encode


def write_frame(medium: Path, at_s: float, target: Path) -> None:
    """Write the picture that is shown at a time to `target`. Raises MediaUnavailable."""
    found = probe(medium)
    seek = ["-ss", f"{at_s:.6f}"]
    exact = is_exact(found)
    arguments = [
        *(seek if exact else ()),
        *input_arguments(found),
        *(() if exact else seek),
        *("-map", "0:V:0", "-frames:v", "1", "-update", "1", f"file:{target.absolute()}"),
        *(start_arguments(found) if exact else ()),
    ]
    encode(
        arguments, target.parent, source=medium, target=target, length_s=0.0,
        progress=lambda _: None,
    )  # fmt: skip
