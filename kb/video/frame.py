"""One picture of a video as a PNG file."""

from __future__ import annotations

from pathlib import Path

from kb.media.probe import input_arguments, probe, start_arguments
from kb.media.section import is_exact
from kb.video.encoder import encode
from kb.video.picture import shown_from_s

_PER_S = 100  # moments of which one is taken


def write_frame(medium: Path, at_s: float, target: Path) -> None:
    """Write the picture that is shown at a time to `target`. Raises MediaUnavailable."""
    found = probe(medium)
    exact = is_exact(found)
    from_s = shown_from_s(medium, at_s) if exact else 0.0
    # The frame that is shown may be much older than the time, and be the last one.
    shown = (
        f"fps={_PER_S}:start_time=0,tpad=stop_mode=clone:stop_duration={at_s - from_s + 1:.6f},"
        f"trim=start={at_s - from_s:.6f}"
    )
    arguments = [
        *(("-ss", f"{from_s:.6f}") if exact else ()),
        *input_arguments(found),
        *("-map", "0:V:0", "-vf", shown, "-frames:v", "1", "-update", "1"),
        *(f"file:{target.absolute()}", *(start_arguments(found) if exact else ())),
    ]
    encode(
        arguments, target.parent, source=medium, target=target, length_s=0.0,
        progress=lambda _: None,
    )  # fmt: skip
