"""Makes `.env.example` from the settings."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from pydantic import SecretStr

from kb.settings.process_environment import LIBRARY_ENVIRONMENT
from kb.settings.settings import Settings

_HEAD = (
    "# The file that KB_ENV_FILE names (in the environment) is read, else .env in the project's",
    "# folder. A .env in another current folder may set KB_PRESET, KB_MODEL, KB_LANGUAGE only.",
    "# ${NAME} is filled in. A blank and # begin a comment, and in double quotes a backslash is an",
    "# escape: write values with # or backslashes, such as C:\\new, in single quotes.",
)


def example_lines() -> Iterator[str]:
    """Return the lines of `.env.example`: every setting by group, with description and default."""
    yield "# KB Ingest: copy to .env and change what you need. An empty value takes the default."
    yield from _HEAD
    for group, fields in Settings.fields_by_group().items():
        yield ""
        yield f"# --- {group} ---"
        for field in fields.values():
            default = field.get_default(call_default_factory=True)
            if isinstance(default, SecretStr):
                default = default.get_secret_value()
            elif isinstance(default, bool):
                default = str(default).lower()
            yield ""
            yield from textwrap.wrap(
                str(field.description), 98, initial_indent="# ", subsequent_indent="# "
            )
            yield f"{field.alias}={default}"
    yield ""
    yield "# PyTorch and transformers; set before they are imported."
    for name, value in LIBRARY_ENVIRONMENT.items():
        yield f"{name}={value}"
    yield "# For debugging only: it waits for every kernel, which makes a GPU many times slower."
    yield "# CUDA_LAUNCH_BLOCKING=1"
    yield "# Named in older guides; numpy no longer knows it."
    yield "# NUMPY_EXPERIMENTAL_ARRAY_FUNCTION=0"
