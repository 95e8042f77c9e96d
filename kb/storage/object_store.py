"""Files in object storage: s3://bucket/name, by boto3, which is loaded only where it is used."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from kb.errors import LibraryError

_SHA256 = "sha256"  # name of the hash among the facts of an object
_MISSING = ("404", "NoSuchKey", "NotFound")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """An object: its size in bytes, and the SHA-256 that it was stored with (empty: none)."""

    size: int
    sha256: str


@dataclass(frozen=True)
class ObjectStore:
    """An S3 service. What is empty comes from AWS's own places (environment, files, role).

    Methods raise LibraryError `objects.away`, which may pass, and `objects.no_client`.
    """

    endpoint: str = ""
    region: str = ""
    key_id: str = ""
    secret: str = ""

    def put(self, path: Path, url: str, sha256: str) -> None:
        """Store a file with its hash; a partial one is never seen."""
        bucket, name = _parts(url)
        with _errors(url):
            self._client.upload_file(
                str(path), bucket, name, ExtraArgs={"Metadata": {_SHA256: sha256}}
            )

    def find(self, url: str) -> StoredFile | None:
        """Return the facts of an object; None if there is none."""
        bucket, name = _parts(url)
        with _errors(url):
            try:
                found = self._client.head_object(Bucket=bucket, Key=name)
            except self._client.exceptions.ClientError as error:
                if error.response.get("Error", {}).get("Code") in _MISSING:
                    return None
                raise
            return StoredFile(found["ContentLength"], found["Metadata"].get(_SHA256, ""))
        raise AssertionError  # (mypy: the block may swallow errors)

    def get(self, url: str, path: Path) -> None:
        """Write an object to a new file."""
        bucket, name = _parts(url)
        with _errors(url):
            self._client.download_file(bucket, name, str(path))

    def delete(self, url: str) -> None:
        """Delete an object; a missing one is no error."""
        bucket, name = _parts(url)
        with _errors(url):
            self._client.delete_object(Bucket=bucket, Key=name)

    def check(self, url: str) -> None:
        """Raise LibraryError if the bucket of an address does not answer to this key."""
        bucket, _ = _parts(url)
        with _errors(url):
            self._client.head_bucket(Bucket=bucket)

    @cached_property
    def _client(self) -> Any:
        try:
            import boto3
            from botocore.config import Config
        except ImportError as error:
            raise LibraryError(
                "objects.no_client",
                "Object storage needs the package boto3, which is not installed.",
                hint="Run: pip install boto3",
            ) from error
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint or None,
            region_name=self.region or None,
            aws_access_key_id=self.key_id or None,
            aws_secret_access_key=self.secret or None,
            config=Config(
                connect_timeout=10, read_timeout=60, retries={"mode": "standard", "max_attempts": 3}
            ),
        )


def _parts(url: str) -> tuple[str, str]:
    """Return bucket and name of an address; the name may be empty."""
    bucket, _, name = url.removeprefix("s3://").partition("/")
    return bucket, name


@contextlib.contextmanager
def _errors(url: str) -> Iterator[None]:
    """Raise the errors of boto3 and of the disk as LibraryError."""
    try:
        yield
    except LibraryError:
        raise
    except Exception as error:  # boto3's errors have no base of their own, and are not loaded
        module = type(error).__module__.partition(".")[0]
        if module not in ("boto3", "botocore", "s3transfer", "urllib3") and not isinstance(
            error, OSError
        ):
            raise
        raise LibraryError(
            "objects.away",
            "{url} cannot be used: {reason}.",
            hint="Check address, region, key and network: kb doctor tries them. It is tried again "
            "by itself; nothing is lost meanwhile.",
            retryable=True,
            url=url,
            reason=str(error).rstrip(".")[:300],
        ) from error
