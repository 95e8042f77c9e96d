"""Errors of a fetch: passing ones, which are tried again, and final ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kb.errors import ModelUnavailable
from kb.storage.free_space import size_text


class PassingTrouble(Exception):
    """A failure that a later request may not have.

    `error` is shown; `retry_after_s` is the pause that the hub asked for; `unreachable` is True if
    no connection was made at all.
    """

    def __init__(
        self,
        error: ModelUnavailable,
        *,
        retry_after_s: float | None = None,
        unreachable: bool = False,
    ) -> None:
        super().__init__(error.message)
        self.error = error
        self.retry_after_s = retry_after_s
        self.unreachable = unreachable


def unreachable(name: str, endpoint: str) -> PassingTrouble:
    """Return the trouble of a hub to which no connection can be made."""
    return PassingTrouble(
        ModelUnavailable(
            "model.hub_unreachable",
            "Model {name}: the model hub {endpoint} cannot be reached.",
            hint="Check the network, a proxy (HTTPS_PROXY) or the mirror in HF_ENDPOINT.",
            retryable=True,
            name=name,
            endpoint=endpoint,
        ),
        unreachable=True,
    )


def forbidden(name: str) -> PassingTrouble:
    """Return the trouble of an environment that forbids requests (HF_HUB_OFFLINE)."""
    return PassingTrouble(
        ModelUnavailable(
            "model.hub_forbidden",
            "Model {name} is not on this machine, and HF_HUB_OFFLINE forbids to fetch it.",
            hint="Remove HF_HUB_OFFLINE, copy the model from another machine, or try the one that "
            "is always here: --model demo. See what is on this machine: kb models",
            retryable=True,
            name=name,
        ),
        unreachable=True,
    )


def proxy_refused(name: str) -> PassingTrouble:
    """Return the trouble of a proxy that wants another user name or password (407)."""
    return PassingTrouble(
        ModelUnavailable(
            "model.proxy_refused",
            "Model {name}: the proxy asks for another user name or password (407).",
            hint="Set HTTPS_PROXY as http://user:password@host:port, with % codes for special "
            "signs.",
            retryable=True,
            name=name,
        ),
        unreachable=True,
    )


def certificate_unknown(name: str, endpoint: str) -> PassingTrouble:
    """Return the trouble of a certificate that this machine does not trust."""
    return PassingTrouble(
        ModelUnavailable(
            "model.certificate_unknown",
            "Model {name}: the certificate of {endpoint} is not trusted on this machine.",
            hint="A proxy that reads TLS answers so: name its certificate in REQUESTS_CA_BUNDLE. "
            "Check the clock of this machine, too.",
            retryable=True,
            name=name,
            endpoint=endpoint,
        ),
        unreachable=True,
    )


def silent(name: str, seconds: float) -> PassingTrouble:
    """Return the trouble of a hub that accepts a request and sends nothing."""
    return PassingTrouble(
        ModelUnavailable(
            "model.hub_silent",
            "Model {name}: the hub sent nothing for {seconds:g} s.",
            hint="It is tried again; check the network if this stays.",
            retryable=True,
            name=name,
            seconds=seconds,
        )
    )


def broken_off(name: str, file: str, done: int, size: int) -> PassingTrouble:
    """Return the trouble of a connection that ended inside a file."""
    return PassingTrouble(
        ModelUnavailable(
            "model.hub_cut",
            "Model {name}: the connection broke at {done} of {size} of {file}.",
            hint="The rest is fetched with the next try; what has arrived is kept.",
            retryable=True,
            name=name,
            file=file,
            done=size_text(done),
            size=size_text(size),
        )
    )


def foreign_answer(name: str, endpoint: str) -> PassingTrouble:
    """Return the trouble of an answer that no model hub sends, such as a sign-in page."""
    return PassingTrouble(
        ModelUnavailable(
            "model.hub_foreign",
            "Model {name}: the answer from {endpoint} is not that of a model hub.",
            hint="A network with a sign-in page answers so: open any page in a browser and sign "
            "in; then it goes on by itself.",
            retryable=True,
            name=name,
            endpoint=endpoint,
        )
    )


def wrong_file(name: str, file: str, expected: str, found: str) -> PassingTrouble:
    """Return the trouble of a file that arrived twice with another digest than the listed one."""
    return PassingTrouble(
        ModelUnavailable(
            "model.file_wrong",
            "Model {name}: {file} has the digest {found}, and the hub lists {expected}.",
            hint="Its bytes are changed on the way, by a proxy or a mirror perhaps. It is tried "
            "again.",
            retryable=True,
            name=name,
            file=file,
            expected=expected[:16],
            found=found[:16],
        )
    )


def disk_full(name: str, folder: object, need: int, room: int) -> PassingTrouble:
    """Return the trouble of a disk without room for the rest of a model."""
    return PassingTrouble(
        ModelUnavailable(
            "model.disk_full",
            "Model {name} needs {need} more in {folder}, and {room} are free there.",
            hint="Make room; it goes on by itself. HF_HOME in .env names another folder.",
            retryable=True,
            name=name,
            folder=folder,
            need=size_text(need),
            room=size_text(room),
        )
    )


def hub_status(name: str, status: int, retry_after_s: float | None = None) -> PassingTrouble:
    """Return the trouble of an answer with a status that may pass."""
    return PassingTrouble(
        ModelUnavailable(
            "model.hub_error",
            "Model {name}: the hub answered {status}.",
            hint="That passes: a worker and the page try again by themselves. See what is on "
            "this machine: kb models",
            retryable=True,
            name=name,
            status=status,
        ),
        retry_after_s=retry_after_s,
    )


def gated(name: str, page: str) -> ModelUnavailable:
    """Return the error of a model whose terms have to be accepted first."""
    return ModelUnavailable(
        "model.gated",
        "Model {name}: access has to be granted on the hub first.",
        hint="Open {page}, accept its terms, and set HF_TOKEN or log in with: hf auth login",
        name=name,
        page=page,
    )


def refused(name: str, page: str) -> ModelUnavailable:
    """Return the error of a model that the hub refuses to this user (403)."""
    return ModelUnavailable(
        "model.refused",
        "Model {name}: the hub refuses access (403).",
        hint="Open {page} to see what it asks for; the token in HF_TOKEN needs the right to read "
        "this model.",
        name=name,
        page=page,
    )


def token_refused(name: str) -> ModelUnavailable:
    """Return the error of a token that the hub does not accept."""
    return ModelUnavailable(
        "model.token_refused",
        "Model {name}: the hub does not accept the token of this machine.",
        hint="Set a valid HF_TOKEN, or remove it; log in again with: hf auth login",
        name=name,
    )


def not_on_hub(name: str) -> ModelUnavailable:
    """Return the error of a model that the hub does not have."""
    return ModelUnavailable(
        "model.not_on_hub",
        "Model {name}: the hub knows no such model.",
        hint="Check the name (org/name). See what is on this machine: kb models",
        name=name,
    )


def file_not_on_hub(name: str, file: str) -> ModelUnavailable:
    """Return the error of a file that the hub lists and does not have."""
    return ModelUnavailable(
        "model.file_not_on_hub",
        "Model {name}: the hub lists {file} and does not have it (404).",
        hint="The mirror in HF_ENDPOINT may be incomplete; try the hub itself, or another model.",
        name=name,
        file=file,
    )


def odd_file(name: str, file: str, found: str) -> ModelUnavailable:
    """Return the error of a listed file that no model needs in this form."""
    return ModelUnavailable(
        "model.file_refused",
        "Model {name}: the file {file} is refused: {found}.",
        hint="No recognizer needs such a file; choose another model.",
        name=name,
        file=file,
        found=found,
    )


def incomplete(name: str, lacking: Sequence[str]) -> ModelUnavailable:
    """Return the error of a model of which the hub has not all files, or unusable ones."""
    return ModelUnavailable(
        "model.incomplete_on_hub",
        "Model {name}: the hub has no usable {files}.",
        hint="The repository is incomplete; choose another model.",
        name=name,
        files=", ".join(lacking),
    )


def not_writable(repository: str, folder: Path, error: OSError) -> ModelUnavailable:
    """Return the error of a folder in which nothing can be stored."""
    return ModelUnavailable(
        "model.cache_not_writable",
        "Model {name} cannot be stored in {folder}: {cause}",
        hint="Make the folder writable, or name another one with HF_HOME in .env.",
        name=repository,
        folder=folder,
        cause=error.strerror or error,
    )
