"""An S3 service on loopback: moto's, which speaks the protocol over HTTP, kept in memory."""

from __future__ import annotations

import secrets
from types import TracebackType
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

BUCKET = "library"


class S3Service:
    """A service with one empty bucket; `stop` and `start` make it go away and come back."""

    def __init__(self) -> None:
        self._server: Any = None
        self.bucket = f"{BUCKET}-{secrets.token_hex(4)}"  # moto keeps all buckets in the process
        self.port = 0
        self.key_id, self.secret = "id", "not so secret"

    def __enter__(self) -> S3Service:
        self.start()
        self.client().create_bucket(Bucket=self.bucket)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/kb"

    def start(self) -> None:
        """Listen, at the port that it had before."""
        self._server = ThreadedMotoServer("127.0.0.1", self.port, verbose=False)
        self._server.start()
        self.port = self._server.get_host_and_port()[1]

    def stop(self) -> None:
        """End; what was stored stays until the process ends."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def client(self) -> Any:
        """Return a client of the service."""
        return boto3.client(
            "s3",
            endpoint_url=self.address,
            aws_access_key_id=self.key_id,
            aws_secret_access_key=self.secret,
            region_name="us-east-1",
        )

    def names(self) -> list[str]:
        """Return the names of all objects."""
        found = self.client().list_objects_v2(Bucket=self.bucket)
        return [each["Key"] for each in found.get("Contents", ())]

    def settings(self) -> dict[str, str]:
        """Return the settings with which a library uses the service."""
        return {
            "KB_S3_ENDPOINT": self.address,
            "KB_S3_REGION": "us-east-1",
            "KB_S3_KEY_ID": self.key_id,
            "KB_S3_SECRET": self.secret,
        }
