"""Prompts: files with a version, which a folder of the user's own may replace.

The first line of a file is `version: N`; a line `---` begins what the service gets as instructions,
a second one the question. `$name` stands for a value; values are put in as they are.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from string import Template

from kb.errors import SettingsError
from kb.settings import Settings
from kb.storage import UnreadableText, read_user_text, unreadable_reason

SHIPPED = Path(__file__).with_name("prompts")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt; `digest` identifies its text, also where a changed file kept its version."""

    name: str
    version: str
    instructions: str
    question: str
    digest: str

    def messages(self, **values: object) -> list[dict[str, str]]:
        """Return the messages with these values. Raises SettingsError for an unknown `$name`."""
        try:
            return [
                {"role": "system", "content": Template(self.instructions).substitute(values)},
                {"role": "user", "content": Template(self.question).substitute(values)},
            ]
        except (KeyError, ValueError) as error:
            raise _mistake(self.name, f"an unknown value: {error}") from None


def read_prompt(name: str, settings: Settings) -> Prompt:
    """Return a prompt, the user's own if there is one. Raises SettingsError for a bad file."""
    own = Path(settings.llm_prompts).expanduser() / f"{name}.md" if settings.llm_prompts else None
    path = own if own is not None and own.is_file() else SHIPPED / f"{name}.md"
    try:
        text = read_user_text(path)
    except (OSError, UnreadableText) as error:
        raise _mistake(str(path), str(unreadable_reason(error))) from error
    parts = [part.strip() for part in f"{text}\n".replace("\r\n", "\n").split("\n---\n")]
    version = parts[0].removeprefix("version:").strip()
    if len(parts) != 3 or not parts[0].startswith("version:") or not version:
        raise _mistake(str(path), "version: N, then two parts after lines of --- expected")
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Prompt(name, version, parts[1], parts[2], digest)


def _mistake(path: str, reason: str) -> SettingsError:
    return SettingsError(
        "llm.prompt",
        "The prompt {path} cannot be used: {reason}.",
        hint="Correct it, or take it out of the folder of KB_LLM_PROMPTS.",
        path=path,
        reason=reason,
    )
