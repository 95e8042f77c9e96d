"""Run the commands of README and documents as they are written, and report those that fail.

    python tools/docs_check.py            (make docs-check)

They run one after the other in a folder with recordings of the names that the documents use, with
a library made of the samples and the bundled recognizer. `ID` is an item of it, `CHANNEL` a
channel. Left out, and counted by reason: what needs a service on the network, a language model,
a server that stays, or a program that is not here. Nothing outside of a temporary folder changes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.support.document_commands import arguments, commands, documents  # noqa: E402

LIMIT_S = 240
LEFT_OUT: Mapping[str, str] = {
    r"https?://|@channel|@handle|URL|--playlist|--history": "a site on the network",
    r"^kb (sync|upload|follow|unfollow|digest)\b|odin|^kb publish\b(?!.*folder)": "a service",
    r"^kb (ask|notes|translate)\b|summary|chapters|--steps (llm|terms)|highlights|--reel":
        "a language model",
    r"^kb (app|serve|mcp|worker|health)\b|--watch": "a server that stays",
    r"^kb (models|move-queue|keys|calibrate|restore|backup|remove|dub|speak|voices)\b":
        "a part, a place or a step before it that the documents tell about",
    r"--sign|--key\b|FILE|JOB|/media/|/mnt/|~/|fetch|OTHER|NAME|WRONG|still.png|\.srt -o":
        "an own file",
    r"large-v3|faster-whisper|qwen|parakeet": "a model of the hub",
}  # fmt: skip
RECORDINGS = ("talk.mp4", "one.mp4", "interview.mp4")


def reason(command: str) -> str:
    """Return why a command is left out, empty if it is run."""
    for pattern, why in LEFT_OUT.items():
        if re.search(pattern, command):
            return why
    return ""


def run(words: list[str], folder: Path, environment: Mapping[str, str]) -> tuple[int, str]:
    """Run the program in a folder; return its exit code and the end of what it said."""
    command = [sys.executable, "-m", "kb", *words]
    with (folder / "talk.mp4").open("rb") as given:
        try:
            ended = subprocess.run(
                command, cwd=folder, env=dict(environment), stdin=given, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace",
                timeout=LIMIT_S, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return -1, f"not ended after {LIMIT_S} s"
    return ended.returncode, ended.stdout[-600:]


def prepare(folder: Path) -> tuple[dict[str, str], str]:
    """Return the environment of the commands, and the id of an item of a new library."""
    sample = ROOT / "samples" / "The harbour in winter.mp4"
    for name in RECORDINGS:
        shutil.copy(sample, folder / name)
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("KB_", "ODIN_", "YT_"))},
        "KB_HOME": str(folder / "library"), "KB_MODEL": "demo", "KB_STEPS": "none",
        "KB_ENV_FILE": str(folder / "none.env"), "PYTHONPATH": str(ROOT),
        "XDG_STATE_HOME": str(folder / "state"), "COLUMNS": "200",
    }  # fmt: skip
    (folder / "none.env").write_text("", encoding="utf-8")
    code, said = run(["ingest", str(sample), "--wait"], folder, environment)
    if code:
        raise SystemExit(f"The samples cannot be taken in: {said}")
    listed = subprocess.run(
        [sys.executable, "-m", "kb", "status", "--json"], cwd=folder, env=environment,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return environment, json.loads(listed.stdout)["items"][0]["id"]


def main() -> int:
    ran, failed = 0, []
    left_out: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment, item_id = prepare(folder)
        for document in documents():
            for command in dict.fromkeys(commands(document)):
                if why := reason(command):
                    left_out[why] += 1
                    continue
                words = [
                    re.sub(r"^ID$", item_id, re.sub(r"\bCHANNEL\b", "local", word))
                    for word in arguments(command)
                ]
                code, said = run(words, folder, environment)
                ran += 1
                # 1 is the answer of a check that found something, such as doctor without a card.
                if code not in (0, 1) or "Traceback" in said:
                    failed.append(f"{document.relative_to(ROOT)}: {command}\n  {code}: {said}")
    for each in failed:
        print(each)
    print(f"{ran} commands ran, {len(failed)} failed; left out: {dict(left_out)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
