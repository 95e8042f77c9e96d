"""Errors, named by the way in which a user can resolve them.

    KBError
    ├── UsageError            wrong use or configuration: nothing was started      (exit code 2)
    │   ├── SettingsError     a setting, a preset file or an option has a bad value
    │   └── ModelUnavailable  the recognizer cannot be loaded (name, cache, network, files)
    ├── MediaUnavailable      this medium cannot be fetched or read; the others continue
    ├── TranscriptionError    the recognizer failed on this medium
    ├── GPUError              the accelerator failed; the CPU can be used instead
    │   └── DeviceLost        its context is broken: only a new process can continue
    ├── KnowledgeBaseError    a knowledge base refused a request or differs from its record
    │   └── CredentialsRefused a remote refused key, secret or project: stop its whole lane
    │       └── CredentialsMissing key, secret or project is not set or malformed (exit code 2)
    ├── RetryLater            possible later without a change by the user (`until`)
    │   ├── QuotaExhausted    a service's quota is used up until it is renewed
    │   └── LanePaused        a whole lane of work (downloads) is paused; the message says why
    ├── LibraryError          the library folder cannot be read or written
    └── Cancelled             a user requested a stop; no partly written file is left
        └── Superseded        a later attempt or an edit owns the item; what was made is discarded

Every error has a `hint` (the next step, as a sentence or a command) and a flag `retryable`: a
retry without a change by the user may succeed.

An error carries a `code` and the `values` of its sentence, so that a caller, a JSON output or a
page in another language can use it without reading the English text:

    raise MediaUnavailable(
        "media.empty",
        "{path} is empty (0 bytes).",
        hint="Download or copy the file again.",
        path=shown(path),
    )

One code identifies one sentence. Code, template and hint are literals in the raise statement;
`kb.ui.i18n.errors` has the German text of every code. Values are shown and stored: never put a
secret into them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

# The stored form of an error: {"code": ..., "values": {...}}; a nested error has its English too.
StoredProblem = dict[str, Any]
_Kind = TypeVar("_Kind", bound="KBError")
# The own full stop of a value, before the one of the sentence.
_DOUBLE_STOP = re.compile(r"(?<![.\s/\\])(?:\.(?=\.(?:\s|$))|(?<=[!?…])\.(?=\s|$))")


class KBError(Exception):
    """Base of all errors that are shown to a user.

    `KBError(code, template, hint=..., **values)` renders template and hint with the values
    (`str.format`: conversions and format specs work, a literal brace is doubled). An integer's
    spec may have its nouns: `{count:item|items}` renders as `1 item` or `1,204 items`.
    `KBError(message)` takes a finished sentence, without a code.

    `message` names the file or field and the cause; `hint` the next step.

    A value is a str, int, float or bool; another type becomes its str. A value that is a KBError
    renders as its message, and as its hint by `{name.hint}`. A list has such values; its format
    spec is what stands between them: `{parts:; }`.
    """

    retryable = False
    exit_code = 1

    def __init__(
        self,
        code: str,
        template: str | None = None,
        /,
        *,
        hint: str = "",
        retryable: bool | None = None,
        **values: object,
    ) -> None:
        self.code = ""
        self.values: dict[str, Any] = {}
        self.message = code
        self.hint = hint
        if template is not None:
            self.code = code
            self.values = {name: _stored(value) for name, value in values.items()}
            self.message = render(template, self.values)
            self.hint = render(hint, self.values)
        elif values:
            raise TypeError(f"values without a template: {', '.join(values)}")
        if retryable is not None:
            self.retryable = retryable
        super().__init__(self.message)

    @property
    def problem(self) -> StoredProblem | None:
        """Code and values for storage and JSON; None for an error without a code."""
        return {"code": self.code, "values": self.values} if self.code else None

    def record(self) -> dict[str, Any]:
        """Return the stored form: `error` and `hint` in English, `problem` with code and values."""
        return {"error": self.message, "hint": self.hint, "problem": self.problem}

    def recast(self, kind: type[_Kind], *, retryable: bool | None = None) -> _Kind:
        """Return this message, hint, code and values as an error of another class.

        For another hint, raise an error with a new code and this error as a value.
        """
        error = _rebuild(kind, self.message, self.hint, self.code, self.values)
        if retryable is not None:
            error.retryable = retryable
        return error

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[object, ...]:
        # By default pickle rebuilds an error from args alone and would lose the hint between
        # processes; the state contains the attributes of subclasses, whose constructors must not
        # require them.
        parts = (type(self), self.message, self.hint, self.code, self.values)
        return _rebuild, parts, dict(vars(self))


def stored_problem(value: object) -> StoredProblem | None:
    """Return the stored code and values of an error; None if they are malformed."""
    if isinstance(value, dict) and isinstance(value.get("code"), str):
        values = value.get("values")
        return {"code": value["code"], "values": values if isinstance(values, dict) else {}}
    return None


def restored(message: str, hint: str = "", problem: StoredProblem | None = None) -> KBError:
    """Return the error for its stored form; without `problem` it has no code."""
    known = problem or {}
    return _rebuild(KBError, message, hint, known.get("code", ""), known.get("values", {}))


class NestedText(str):
    """The message of an error that is a value of another; `hint` is its next step."""

    hint: str

    def __new__(cls, message: str, hint: str = "") -> NestedText:
        text = super().__new__(cls, message)
        text.hint = hint
        return text


def english(problem: StoredProblem) -> NestedText:
    """Return the stored English of a nested error."""
    return NestedText(problem["message"], problem.get("hint", ""))


def render(
    template: str,
    values: Mapping[str, Any],
    nested: Callable[[StoredProblem], NestedText] = english,
) -> str:
    """Fill a template with stored values; `nested` returns the text of a nested error.

    A value's own full stop is not repeated by the one of the sentence.
    """
    filled = {name: _filled(value, nested) for name, value in values.items()}
    return _DOUBLE_STOP.sub("", template.format(**filled))


def _filled(value: Any, nested: Callable[[StoredProblem], NestedText]) -> Any:
    """Return a stored value as the fields of a template take it."""
    if isinstance(value, dict):
        return nested(value)
    if isinstance(value, list):
        return _Clauses(_filled(each, nested) for each in value)
    return Number(value) if type(value) is int else value


class _Clauses(list[Any]):
    """Values of which one field shows all; its format spec stands between them."""

    def __format__(self, spec: str) -> str:
        return (spec or ", ").join(map(str, self))


class Number(int):
    """A number whose format spec may have the two forms of its noun: `{count:item|items}`."""

    def __format__(self, spec: str) -> str:
        one, mark, several = spec.partition("|")
        if not mark:
            return super().__format__(spec)
        return f"{int(self):,} {one if self == 1 else several}"


def _stored(value: object) -> object:
    """Return a value in a form that JSON supports."""
    if isinstance(value, KBError):
        nested = {"code": value.code, "values": value.values, "message": value.message}
        return {**nested, "hint": value.hint} if value.hint else nested
    if isinstance(value, list):
        return [_stored(each) for each in value]
    for kind in (bool, int, float):
        if isinstance(value, kind):
            return kind(value)
    return str(value)


def _rebuild(
    kind: type[_Kind], message: str, hint: str, code: str, values: dict[str, Any]
) -> _Kind:
    """Make an error of a rendered message; its class's constructor need not accept a message."""
    error = kind.__new__(kind, message)
    KBError.__init__(error, message, hint=hint)
    error.code, error.values = code, values
    return error


class UsageError(KBError):
    """A wrong command, path or option; nothing was started."""

    exit_code = 2


class SettingsError(UsageError):
    """A setting, preset file or option has a bad value; the message names where."""


class ModelUnavailable(UsageError):
    """The recognizer cannot be loaded; the message names the cause and the available models.

    `until` is the time of the next try in epoch seconds, None when it is not known.
    """

    until: float | None = None


class MediaUnavailable(KBError):
    """A medium cannot be fetched or read (missing, no sound, damaged, private, removed)."""


class TranscriptionError(KBError):
    """The recognizer failed on a medium."""

    retryable = True


class GPUError(KBError):
    """The accelerator failed; a smaller batch or a new process may succeed."""

    retryable = True


class DeviceLost(GPUError):
    """The accelerator's context is broken for this process; a new process may continue."""


class KnowledgeBaseError(KBError):
    """A local index or a remote knowledge base refused a request or differs from its record."""


class CredentialsRefused(KnowledgeBaseError):
    """A remote knowledge base refused key, secret or project.

    Every further request would fail too: stop that lane once and leave its items waiting.
    """


class CredentialsMissing(CredentialsRefused):
    """Key, secret or project is not set, or is malformed."""

    exit_code = 2


class RetryLater(KBError):
    """Not possible now, but possible later without a change by the user.

    `until` is the time to try again in epoch seconds, None when it is not known. It is by the clock
    of the library's database, where one is open.
    """

    retryable = True
    until: float | None = None

    def __init__(
        self,
        code: str,
        template: str | None = None,
        /,
        *,
        hint: str = "",
        retryable: bool | None = None,
        until: float | None = None,
        **values: object,
    ) -> None:
        super().__init__(code, template, hint=hint, retryable=retryable, **values)
        self.until = until


class QuotaExhausted(RetryLater):
    """A service's quota is used up until a known time."""


class LanePaused(RetryLater):
    """A lane of work is paused for all its items until a known time; `lane` is its name."""

    lane = ""


class LibraryError(KBError):
    """The library folder cannot be read or written (full, read-only, moved)."""


class Cancelled(KBError):
    """A user requested a stop; the item can be continued."""

    exit_code = 130


class Superseded(Cancelled):
    """A later attempt, or an edit by hand, owns the item: what this attempt made is discarded."""
