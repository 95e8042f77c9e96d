"""A bundle for bug reports: facts about this installation, without secrets, titles and addresses.

Of the settings, numbers, switches, choices and a few names are shown; of any other text only that
it is set. Every text passes through `redact` with all secrets that are known here.
"""

from __future__ import annotations

import io
import json
import platform
import sys
import time
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, Literal, get_origin

from kb import __version__
from kb.errors import KBError
from kb.service.health import HealthCheck
from kb.service.logs import Logs
from kb.settings import Settings, current_sources
from kb.sources.redact import redact

# Texts whose values are names of this program's own, or of public models.
_SHOWN = frozenset(
    ("preset", "model", "engine", "language", "sinks", "steps", "device", "embedding_model")
)
_SET = "(set)"
LOGS = ("worker", "tasks")
SOURCE = "doctor"  # what the file is made from: a later report replaces an earlier one


def pack(settings: Settings, checks: Sequence[HealthCheck], logs: Logs, counts: Any) -> bytes:
    """Return the ZIP of a bug report. `counts` are the numbers of items by their state."""
    hide = _Hiding(settings, logs.keys.secrets())
    files = {
        "README.txt": _ABOUT,
        "doctor.json": _json([hide.value(asdict(check)) for check in checks]),
        "settings.json": _json(hide.value(_settings(settings))),
        "machine.json": _json(hide.value(_machine())),
        "counts.json": _json(hide.value(counts)),
        "packages.txt": "\n".join(_packages()) + "\n",
        **{f"{name}.log": "\n".join(map(hide.text, logs.tail(name))) + "\n" for name in LOGS},
    }
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return content.getvalue()


_ABOUT = """\
Facts about an installation of KB Ingest, for a report of a fault.

Without keys, passwords and the values of settings that are texts. The logs may name titles and
files: look through them before you send this to anyone.
"""


class _Hiding:
    """The removal of secrets, and of the user's folder, from texts and JSON values."""

    def __init__(self, settings: Settings, secrets: Iterable[str]) -> None:
        self._secrets = sorted({*secrets, *_other_secrets(settings)})
        self._home = str(Path.home())

    def text(self, text: str) -> str:
        """Return a text without secrets; the folder of the user is `~`."""
        hidden = redact(text, self._secrets)
        # A short path, such as /, is no name of a person.
        return hidden.replace(self._home, "~") if len(self._home) > 3 else hidden

    def value(self, value: Any) -> Any:
        """Return a JSON value whose texts are without secrets."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {str(key): self.value(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(each) for each in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return self.text(str(value))


def _other_secrets(settings: Settings) -> list[str]:
    """Return the parts of settings that are secrets though the setting is a plain text."""
    found = [str(settings.users)]
    # A value that was refused is in no setting, and may stand in an error.
    for file in current_sources().files:
        found += [
            value
            for name, value in file.values.items()
            if any(word in name for word in ("KEY", "SECRET", "PASSWORD", "TOKEN", "URL"))
        ]
    return [each for each in found if len(each) >= 8]


def _settings(settings: Settings) -> dict[str, Any]:
    """Return the settings that differ from their defaults, as far as their values may be shown."""
    found: dict[str, Any] = {}
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        if value == field.get_default(call_default_factory=True):
            continue
        plain = isinstance(value, bool | int | float) or get_origin(field.annotation) is Literal
        found[str(field.alias)] = value if plain or name in _SHOWN else _SET
    return found


def _machine() -> dict[str, str]:
    return {
        "kb-ingest": __version__,
        "python": sys.version.split()[0],
        "system": platform.platform(),
        "machine": platform.machine(),
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _packages() -> list[str]:
    found = {f"{each.metadata['Name']}=={each.version}" for each in distributions()}
    return sorted(found, key=str.casefold)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def item_counts(service: Any) -> dict[str, Any]:
    """Return the numbers of items and publications by state; the error of a damaged database."""
    try:
        return {
            "items": service.queue.counts(),
            "publications": service.queue.outbox.counts(),
            "steps": service.queue.steps.counts(),
        }
    except KBError as error:
        return {"error": error.message}
