"""Run the command line: `python -m kb`."""

import sys
from pathlib import Path

# `python -m` puts the current folder first; what is there must not be imported.
if not sys.flags.safe_path and Path(sys.path[0]).resolve() == Path.cwd():
    here = Path(__file__).resolve().parents[1]
    if here != Path.cwd():
        del sys.path[0]

from kb.cli.main import main

if __name__ == "__main__":
    main()
