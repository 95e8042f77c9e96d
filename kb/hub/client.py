"""Requests to a model hub: the listing of a repository, and the bytes of a file.

The addresses are those of huggingface_hub: `/api/models/{name}/revision/main`, `/api/models/{name}
/tree/{commit}` and `/{name}/resolve/{commit}/{file}`, below `HF_ENDPOINT`. A token is sent to the
hub's own host only; requests drops it at a redirect to another one. Proxies and certificates come
from the environment, as for every client of requests.
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from kb.errors import ModelUnavailable
from kb.hub import errors
from kb.hub.errors import PassingTrouble
from kb.storage.http_answers import Answer, AnswerTooLarge, read_answer
from kb.types.safe_text import hide_credentials

if TYPE_CHECKING:
    import requests  # slow to import, and not needed by every command

LISTING_BYTES = 20_000_000
LEAST_BYTES = 1024  # within `stall_s`; a hub that sends less than that sends nothing
MOST_PAGES = 20
LONGEST_RETRY_AFTER_S = 6 * 3600.0

_COMMIT = re.compile(r"[0-9a-f]{40}")
_DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_PART = re.compile(r"[A-Za-z0-9_.+=@-]{1,120}")


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Deadlines of requests, in seconds.

    `connect_s`: until the connection is made; `answer_s`: until the headers of an answer are
    complete (`stall_s` for those of a file); `stall_s`: the longest time without a byte of a file,
    or with less than LEAST_BYTES of it;
    `listing_s`: until a list of files is complete.
    """

    connect_s: float = 10.0
    answer_s: float = 20.0
    stall_s: float = 60.0
    listing_s: float = 120.0


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository as the hub lists it.

    `digest`: 64 hexadecimal digits are its SHA-256, 40 are git's SHA-1 of it as a blob.
    """

    name: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a repository at one commit."""

    repository: str
    commit: str
    files: tuple[HubFile, ...]


def endpoint() -> str:
    """Return the address of the hub, HF_ENDPOINT or huggingface.co."""
    from huggingface_hub import constants

    return constants.ENDPOINT


def is_offline() -> bool:
    """Return True if the environment forbids requests to the hub (HF_HUB_OFFLINE)."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def page_of(repository: str) -> str:
    """Return the address of a repository's page."""
    return f"{endpoint()}/{repository}"


class HubClient:
    """A connection to the hub. Not thread-safe: each thread has its own."""

    def __init__(self, deadlines: Deadlines | None = None) -> None:
        from huggingface_hub import get_token

        from kb.hub.bounded_connection import bounded_session

        self._deadlines = deadlines or Deadlines()
        self._session = bounded_session()
        self._token = get_token()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def listing(self, repository: str, revision: str = "main") -> Listing:
        """Return what a repository holds. Raises PassingTrouble and ModelUnavailable."""
        if is_offline():
            raise errors.forbidden(repository)
        base = f"{endpoint()}/api/models/{repository}"
        answer = self._ask(repository, f"{base}/revision/{quote(revision, safe='')}")
        about = self._document(repository, answer)
        commit = about.get("sha") if isinstance(about, dict) else None
        if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
            raise errors.foreign_answer(repository, hide_credentials(endpoint()))
        try:
            files = self._tree(repository, f"{base}/tree/{commit}?recursive=true")
        except ModelUnavailable as error:
            if error.code != "model.not_on_hub":
                raise
            # A mirror that knows the repository, and has no address for its tree.
            answer = self._ask(repository, f"{base}/revision/{commit}?blobs=true")
            files = list(self._files(repository, _siblings(self._document(repository, answer))))
        return Listing(repository, commit, tuple(files))

    def _tree(self, repository: str, address: str) -> list[HubFile]:
        files: list[HubFile] = []
        for _page in range(MOST_PAGES):
            answer = self._ask(repository, address)
            files += self._files(repository, self._document(repository, answer))
            following = _next_page(answer, address)
            if not following:
                break
            address = following
        return files

    @contextmanager
    def open(
        self, repository: str, commit: str, file: HubFile, first: int = 0
    ) -> Iterator[tuple[int, Iterator[bytes]]]:
        """Yield the place of the first byte that is sent, and the bytes from there in blocks.

        The place is 0 if the hub does not send from `first` on. Raises PassingTrouble and
        ModelUnavailable; while the bytes are read, PassingTrouble only.
        """
        address = f"{endpoint()}/{repository}/resolve/{commit}/{quote(file.name, safe='/')}"
        headers = {"Accept-Encoding": "identity"}
        if first:
            headers["Range"] = f"bytes={first}-"
        with self._get(repository, address, headers, self._deadlines.stall_s) as response:
            self._check_status(repository, response, file)
            place = self._place(repository, response, file, first)
            yield place, self._blocks(repository, response, file, place)

    def _blocks(
        self, repository: str, response: requests.Response, file: HubFile, place: int
    ) -> Iterator[bytes]:
        done = place
        try:
            # read1 returns what has arrived, so that a slow hub is seen to move.
            seen, since = done, time.monotonic()
            while block := response.raw.read1(1 << 18):
                done += len(block)
                yield block
                if done - seen >= LEAST_BYTES:
                    seen, since = done, time.monotonic()
                elif time.monotonic() - since > self._deadlines.stall_s:
                    raise errors.silent(repository, self._deadlines.stall_s)
        except Exception as error:  # urllib3's, http.client's and the socket's own
            if isinstance(error, PassingTrouble):
                raise
            if _timed_out(error):
                raise errors.silent(repository, self._deadlines.stall_s) from error
            raise errors.broken_off(repository, file.name, done, file.size) from error

    def _place(
        self, repository: str, response: requests.Response, file: HubFile, first: int
    ) -> int:
        """Return the place of the answer's first byte. Raises PassingTrouble for a foreign one."""
        place = 0
        if response.status_code == 206:
            given = re.match(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
            if given is None or int(given[1]) != first or given[2] not in ("*", str(file.size)):
                raise errors.foreign_answer(repository, hide_credentials(endpoint()))
            place = first
        length = response.headers.get("Content-Length", "")
        if length.isdecimal() and int(length) != file.size - place:
            raise errors.foreign_answer(repository, hide_credentials(endpoint()))
        return place

    def _ask(self, repository: str, address: str) -> Answer:

        with self._get(repository, address, {}, self._deadlines.answer_s) as response:
            self._check_status(repository, response, None)
            try:
                return read_answer(response, LISTING_BYTES, self._deadlines.listing_s)
            except AnswerTooLarge as error:
                raise errors.foreign_answer(repository, hide_credentials(endpoint())) from error
            except Exception as error:  # urllib3's, http.client's and the socket's own
                if _timed_out(error):
                    raise errors.silent(repository, self._deadlines.answer_s) from error
                raise errors.broken_off(repository, "its list of files", 0, 0) from error

    @contextmanager
    def _get(
        self, repository: str, address: str, headers: dict[str, str], answer_s: float
    ) -> Iterator[requests.Response]:
        response = self._send(repository, address, headers, answer_s)
        if response.status_code == 401 and self._token:
            # A revoked token is refused for public models, too.
            response.close()
            token, self._token = self._token, None
            response = self._send(repository, address, headers, answer_s)
            if response.status_code == 401:
                self._token = token
        with response:
            yield response

    def _send(
        self, repository: str, address: str, headers: dict[str, str], answer_s: float
    ) -> requests.Response:
        import requests

        if self._token:
            headers = {**headers, "Authorization": f"Bearer {self._token}"}
        try:
            return self._session.get(
                address,
                headers=headers,
                # An `auth` keeps requests from replacing the token by an entry of ~/.netrc.
                auth=_unchanged,
                stream=True,
                timeout=(self._deadlines.connect_s, answer_s),
            )
        except requests.exceptions.ReadTimeout as error:
            raise errors.silent(repository, answer_s) from error
        except (requests.exceptions.TooManyRedirects, requests.exceptions.InvalidURL) as error:
            raise errors.foreign_answer(repository, hide_credentials(endpoint())) from error
        except (requests.RequestException, OSError, ValueError) as error:
            if _refused_by_proxy(error):
                raise errors.proxy_refused(repository) from error
            if any(isinstance(each, ssl.SSLCertVerificationError) for each in _causes(error)):
                raise errors.certificate_unknown(
                    repository, hide_credentials(endpoint())
                ) from error
            if _answered(error):
                raise errors.broken_off(repository, "an answer", 0, 0) from error
            raise errors.unreachable(repository, hide_credentials(endpoint())) from error

    def _check_status(
        self, repository: str, response: requests.Response, file: HubFile | None
    ) -> None:
        """Raise for an answer that is no success; the hub names the cause in `X-Error-Code`."""
        status = response.status_code
        code = response.headers.get("X-Error-Code", "")
        if status in (200, 206):
            if "text/html" in response.headers.get("Content-Type", ""):
                raise errors.foreign_answer(repository, hide_credentials(endpoint()))
            return
        if status == 407:
            raise errors.proxy_refused(repository)
        if status in (401, 403) and code == "GatedRepo":
            raise errors.gated(repository, hide_credentials(page_of(repository)))
        if status == 401:
            # The hub answers 401 for names that it does not know, with a good token as well.
            if self._token and code != "RepoNotFound":
                raise errors.token_refused(repository)
            raise errors.not_on_hub(repository)
        if status == 403:
            raise errors.refused(repository, hide_credentials(page_of(repository)))
        if status == 404:
            if file is not None:
                raise errors.file_not_on_hub(repository, file.name)
            raise errors.not_on_hub(repository)
        headers = {name.lower(): value for name, value in response.headers.items()}
        pause = Answer(status, b"", headers=headers).retry_after_s(LONGEST_RETRY_AFTER_S)
        raise errors.hub_status(repository, status, pause)

    def _document(self, repository: str, answer: Answer) -> Any:
        try:
            return answer.json()
        except ValueError as error:
            raise errors.foreign_answer(repository, hide_credentials(endpoint())) from error

    def _files(self, repository: str, document: Any) -> Iterator[HubFile]:
        """Yield the files of a listing; names that could leave a folder are left out."""
        if not isinstance(document, list):
            raise errors.foreign_answer(repository, hide_credentials(endpoint()))
        for entry in document:
            if not isinstance(entry, dict) or entry.get("type") != "file":
                continue
            name, size, digest = entry.get("path"), entry.get("size"), entry.get("oid")
            large = entry.get("lfs")
            if isinstance(large, dict):
                size, digest = large.get("size"), large.get("oid")
            if not isinstance(name, str) or not is_plain_name(name):
                continue
            if isinstance(size, bool) or not isinstance(size, int) or size < 0:
                raise errors.odd_file(repository, name, f"its size is {size!r}"[:80])
            if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
                raise errors.odd_file(repository, name, f"its digest is {digest!r}"[:80])
            yield HubFile(name, size, digest)


def is_plain_name(name: str) -> bool:
    """Return True for a relative path that stays in its folder on every system."""
    parts = name.split("/")
    return len(parts) <= 4 and all(
        _PART.fullmatch(part) and part.strip(".") and not part.endswith(".") for part in parts
    )


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _siblings(about: Any) -> Any:
    """Return the files in a repository's facts in the form of the entries of its tree."""
    rows = about.get("siblings") if isinstance(about, dict) else None
    if not isinstance(rows, list):
        return None
    found = []
    for row in rows:
        if isinstance(row, dict):
            large = row.get("lfs")
            if isinstance(large, dict):
                large = {"size": large.get("size"), "oid": large.get("sha256")}
            found.append({
                "type": "file", "path": row.get("rfilename"), "size": row.get("size"),
                "oid": row.get("blobId"), "lfs": large,
            })  # fmt: skip
    return found


def _next_page(answer: Answer, address: str) -> str:
    """Return the address of the next page of a listing, empty for the last.

    Only the query of the given link is taken: a mirror may pass on the hub's own link.
    """
    found = re.search(r'<([^>]+)>;\s*rel="?next"?', answer.headers.get("link", ""))
    query = urlsplit(found[1]).query if found else ""
    following = f"{address.partition('?')[0]}?{query}" if query else ""
    return following if following != address else ""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    rest: list[Any] = [error]
    while rest:
        found = rest.pop()
        if isinstance(found, BaseException) and found not in seen:
            seen.append(found)
            yield found
            rest += [found.__cause__, found.__context__, *found.args]


def _timed_out(error: BaseException) -> bool:
    return any(
        isinstance(each, TimeoutError) or "timed out" in str(each) for each in _causes(error)
    )


def _refused_by_proxy(error: BaseException) -> bool:
    """Return True if a proxy asks for other credentials before it makes a tunnel (407)."""
    return any("407" in str(each) and "roxy" in str(each) for each in _causes(error))


def _answered(error: BaseException) -> bool:
    """Return True if a connection was made and then ended, which is no failure to connect."""
    kinds = (ConnectionResetError, BrokenPipeError)
    return any(
        isinstance(each, kinds) or type(each).__name__ in ("ProtocolError", "RemoteDisconnected")
        for each in _causes(error)
    )
