"""Settings of object storage (S3 and what speaks like it) for index and finished media."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from kb.settings.part import SettingsPart
from kb.types.safe_text import web_address

_BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.*'()/-]+)?/?")


def _bucket(value: str) -> str:
    text = value.strip()
    if text and not _BUCKET.fullmatch(text):
        raise ValueError("an address such as s3://bucket/folder is expected")
    return text.rstrip("/")


def _endpoint(value: str) -> str:
    if value and not web_address(value):
        raise ValueError("an address such as https://s3.example.org is expected")
    return value.rstrip("/")


BucketUrl = Annotated[str, AfterValidator(_bucket)]

Endpoint = Annotated[str, AfterValidator(_endpoint)]


class ObjectStorageSettings(SettingsPart):
    """Settings of object storage (S3 and what speaks like it) for index and finished media."""

    index_url: BucketUrl = Field(
        "",
        alias="KB_INDEX_URL",
        description="Object storage of the search index: s3://bucket/folder. Empty keeps it in the "
        "library folder. Run kb reindex after a change.",
    )
    media_url: BucketUrl = Field(
        "",
        alias="KB_MEDIA_URL",
        description="Object storage for the media of ended items: s3://bucket/folder. They are "
        "fetched again, and compared with their hash, where they are needed. Needs boto3.",
    )
    media_cache_gb: float = Field(
        100.0,
        alias="KB_MEDIA_CACHE_GB",
        ge=0,
        description="Space, in GB, that local media may take where KB_MEDIA_URL is set: stored "
        "ones that were not used for longest go first. What is not stored yet stays.",
    )
    s3_endpoint: Endpoint = Field(
        "",
        alias="KB_S3_ENDPOINT",
        description="Address of the S3 service; empty for AWS, or AWS_ENDPOINT_URL.",
    )
    s3_region: str = Field(
        "",
        alias="KB_S3_REGION",
        description="Region of the buckets; empty for AWS_REGION.",
    )
    s3_key_id: str = Field(
        "",
        alias="KB_S3_KEY_ID",
        description="Id of the key for object storage. Empty for AWS's own places: "
        "AWS_ACCESS_KEY_ID, the machine's role.",
    )
    s3_secret: SecretStr = Field(
        SecretStr(""),
        alias="KB_S3_SECRET",
        description="Secret of KB_S3_KEY_ID.",
    )
