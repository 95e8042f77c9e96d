"""Options that several commands share and that need nothing of the library."""

from __future__ import annotations

from typing import Annotated

import typer

ID_HELP = "An id of `kb status --all`, or its beginning."

Sure = Annotated[
    bool, typer.Option("--yes", help="Also where more than 20 published items change.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
NoWait = Annotated[
    bool,
    typer.Option(
        "--no-wait", help="Queue it for a worker. The same command without it writes the file then."
    ),
]
Threads = Annotated[
    int, typer.Option("--threads", min=0, max=256, help="0: as many as there are cores.")
]
FetchPicture = Annotated[
    bool | None,
    typer.Option(
        "--fetch/--no-fetch",
        help="Fetch the picture of an item that is kept as sound; else it is asked.",
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite", help="Replace a file in the way that another program or a person wrote."
    ),
]
