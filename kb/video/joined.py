"""The picture of one file with the sound of another, copied into one file."""

from __future__ import annotations

from pathlib import Path

from kb import storage
from kb.media.probe import input_arguments, probe
from kb.video.encoder import Progress, encode


def join_picture(
    picture: Path, sound: Path, draft: Path, *, progress: Progress = lambda _: None
) -> None:
    """Write the picture of `picture` with all sound tracks of `sound`; nothing is encoded again.

    Both have the times of the same recording. Raises MediaUnavailable and LibraryError.
    """
    seen, heard = probe(picture), probe(sound)
    arguments = [*input_arguments(seen), *input_arguments(heard)]
    arguments += ["-map", "0:V:0", "-map", "1:a", "-c", "copy", "-map_metadata", "-1"]
    arguments.append(f"file:{draft.absolute()}")
    length_s = max(seen.duration_s or 0.0, heard.duration_s or 0.0)
    with storage.scratch_folder() as folder:
        encode(
            arguments, folder, source=picture, target=draft, length_s=length_s, progress=progress
        )
