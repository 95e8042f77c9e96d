"""The program that `checkouts.py` starts: it transcribes files with the code on its PYTHONPATH.

It imports nothing of `benchmarks`, so that an earlier version of the product can be read with it.
Each line of its input is the path of a sound file; each line of its output has the transcript's
document and the CPU seconds, those of ffmpeg included.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from kb.inference.session import InferenceSession
from kb.options import RunOptions
from kb.settings import get_settings
from kb.transcript.formats.json_document import to_document


def cpu_s() -> float:
    """Return the CPU seconds of this process and of the programs that it has started."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in usage)


def main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr
    with InferenceSession(get_settings()) as session:
        options = session.transcription_options(
            RunOptions(model="demo", preset=sys.argv[1], language="en")
        )
        session.prepare(options)
        for line in sys.stdin:
            began_s = cpu_s()
            found = session.transcribe(Path(line.strip()), options)
            answer = {"cpu_s": cpu_s() - began_s, "transcript": to_document(found)}
            print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
