"""Errors, named for what the user can do about them.

    KBError
    ├── UsageError            wrong use or configuration: nothing was started      (exit code 2)
    │   ├── SettingsError     a setting, a preset file or an option has a bad value
    │   └── ModelUnavailable  the recognizer cannot be loaded (name, cache, network, files)
    ├── MediaUnavailable      this medium cannot be had or read; the others go on
    ├── TranscriptionError    the recognizer failed on this medium
    ├── GPUError              the accelerator failed; the CPU can take over
    │   └── DeviceLost        its context is broken: only a fresh process can go on
    ├── KnowledgeBaseError    an index or a remote knowledge base refused or is out of step
    │   └── CredentialsRefused a remote refused key, secret or project: stop its whole lane
    │       └── CredentialsMissing they are not (all) set, or cannot be any    (exit code 2)
    ├── RetryLater                 not now, but by itself from a known time on (`until`)
    │   ├── QuotaExhausted    a service's allowance is used up until it is renewed
    │   └── LanePaused        a whole lane of work (downloads) rests, for the reason it names
    ├── LibraryError          the library folder cannot be read or written
    └── Cancelled             somebody asked for a stop; nothing half written is left

Every error has a `hint` (the next step, as a sentence or a command) and says whether trying
again may help without anybody's doing (`retryable`).
"""

from __future__ import annotations


class KBError(Exception):
    """Base of all errors that are shown to a user.

    `message` names the file or field and the cause; `hint` the next step.
    """

    retryable = False
    exit_code = 1

    def __init__(self, message: str, *, hint: str = "", retryable: bool | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if retryable is not None:
            self.retryable = retryable

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[object, ...]:
        # The default rebuilds from args alone and would lose the hint between processes; the
        # state carries what a subclass adds, which its constructor must not require.
        return _rebuild, (type(self), self.message, self.hint, self.retryable), dict(vars(self))


def _rebuild(kind: type[KBError], message: str, hint: str, retryable: bool) -> KBError:
    return kind(message, hint=hint, retryable=retryable)


class UsageError(KBError):
    """A wrong command, path or option; nothing was started."""

    exit_code = 2


class SettingsError(UsageError):
    """A setting, preset file or option has a bad value; the message names where."""


class ModelUnavailable(UsageError):
    """The recognizer cannot be loaded; the message says why and what is at hand instead."""


class MediaUnavailable(KBError):
    """A medium cannot be had or read (missing, no sound, damaged, private, removed)."""


class TranscriptionError(KBError):
    """The recognizer failed on a medium."""

    retryable = True


class GPUError(KBError):
    """The accelerator failed in a way that a smaller batch or a fresh process may mend."""

    retryable = True


class DeviceLost(GPUError):
    """The accelerator's context is broken for this process; a fresh one may go on."""


class KnowledgeBaseError(KBError):
    """A local index or a remote knowledge base refused a request or is out of step."""


class CredentialsRefused(KnowledgeBaseError):
    """A remote knowledge base refused key, secret or project.

    Every further request would fail alike: stop that lane once and leave its items waiting.
    """


class CredentialsMissing(CredentialsRefused):
    """Key, secret or project are not set, or are nothing that could be one."""

    exit_code = 2


class RetryLater(KBError):
    """Not possible now, but by itself later; nothing is wrong and nobody need do anything.

    `until` is the time to try again in epoch seconds, None when it is not known.
    """

    retryable = True

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        retryable: bool | None = None,
        until: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint, retryable=retryable)
        self.until = until


class QuotaExhausted(RetryLater):
    """A service's allowance is used up until a known time."""


class LanePaused(RetryLater):
    """A lane of work rests until a known time, for all its items; `lane` is its name."""

    lane = ""


class LibraryError(KBError):
    """The library folder cannot be read or written (full, read-only, moved)."""


class Cancelled(KBError):
    """Somebody asked for a stop; the item can be taken up again."""

    exit_code = 130
