"""The HTTP API: clips beside talks, many clients, memory, cheap routes, jobs over kills.

    python benchmarks/api.py                    everything, about eight minutes
    python benchmarks/api.py --only load kills

`fairness` measures one worker's model (`benchmarks/support/api_fairness.py`), `load` and `kills` a
`kb serve` of its own (`api_load.py`, `api_kills.py`); all with the demo recognizer on the CPU.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.support import api_fairness, api_kills, api_load

PARTS = {
    "fairness": api_fairness.measure,
    "load": api_load.measure,
    "kills": api_kills.measure,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    wanted = parser.parse_args().only
    met = True
    for name in wanted:
        print(f"# {name}", file=sys.stderr)
        with tempfile.TemporaryDirectory(prefix="kb-api-") as folder:
            met &= PARTS[name](Path(folder))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
