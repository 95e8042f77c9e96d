"""Settings of the dashboard."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from kb.settings.part import SettingsPart
from kb.types.safe_text import web_address


def _names(value: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(",") if name.strip())


def _networks(value: str) -> str:
    for name in _names(value):
        try:
            ipaddress.ip_network(name, strict=False)
        except ValueError:
            raise ValueError(f"{name!r} is neither an address nor a network") from None
    return value


def _web_address(value: str) -> str:
    if not _is_site(value):
        raise ValueError("an address such as https://kb.example.org expected")
    return value


def _is_site(value: str) -> bool:
    """Return True for the address of a site: a host that can exist, a port, a plain path."""
    if not web_address(value) or re.search(r"[?#@\\\s]", value):
        return False
    try:
        parts = urlsplit(value)
        port, host = parts.port, parts.hostname or ""  # reading a bad port raises
    except ValueError:
        return False
    if port == 0 or parts.netloc.endswith(":"):
        return False
    if ":" in host:
        return _is_ip(host)
    if re.fullmatch(r"[\d.]+", host):
        return _is_ip(host)
    try:
        plain = host.encode("idna").decode()
    except UnicodeError:
        return False
    labels = plain.removesuffix(".").split(".")
    return all(re.fullmatch(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})", each) for each in labels)


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


WebAddress = Annotated[str, AfterValidator(_web_address)]
Networks = Annotated[str, AfterValidator(_networks)]


class DashboardSettings(SettingsPart):
    """Settings of the dashboard."""

    password: SecretStr = Field(
        SecretStr(""),
        alias="KB_PASSWORD",
        description="Password of the dashboard. Needed (or OIDC) where it listens beyond this "
        "machine; put a proxy with TLS before it there.",
    )
    users: str = Field(
        "",
        alias="KB_USERS",
        description="E-mail addresses that may come in through OIDC, separated by commas; empty "
        "lets in every person whom the provider signs in.",
    )
    app_worker: bool = Field(
        True,
        alias="KB_APP_WORKER",
        description="The dashboard starts a worker on its machine when none is alive: at its "
        "start, when items are queued, after one was killed. Off: by its button alone.",
    )
    trusted_proxies: Networks = Field(
        "",
        alias="KB_TRUSTED_PROXIES",
        description="Proxies before the dashboard whose X-Forwarded-For header is believed: "
        "addresses or networks, separated by commas, such as 127.0.0.1. Empty believes none, and "
        "all people behind a proxy share one limit of sign-in tries.",
    )

    public_url: WebAddress = Field(
        "http://127.0.0.1:8501",
        alias="KB_PUBLIC_URL",
        description="Address under which others reach the dashboard. Links to the seconds of local "
        "recordings lead there, also in published documents; run kb reindex after a change.",
    )

    upload_max_gb: float = Field(
        20.0,
        alias="KB_UPLOAD_MAX_GB",
        gt=0,
        description="Largest file, in GB, that the dashboard takes from a browser, and "
        "the HTTP API as a resumable upload.",
    )
    uploads_at_once: int = Field(
        8,
        alias="KB_UPLOADS_AT_ONCE",
        ge=1,
        description="Uploads under way at once, at most.",
    )
    upload_idle_s: float = Field(
        60.0,
        alias="KB_UPLOAD_IDLE_S",
        gt=0,
        description="An upload that sends nothing for so many seconds is ended.",
    )

    shared: bool = Field(
        False,
        alias="KB_SHARED",
        description="Ingest only from KB_INGEST_FOLDERS and the public network, and leave settings "
        "of the machine alone. A dashboard that others reach (KB_PASSWORD, OIDC, or an address "
        "beyond this machine) does so in any case.",
    )
    ingest_folders: str = Field(
        "",
        alias="KB_INGEST_FOLDERS",
        description="Folders of this machine that a dashboard which others reach may take media "
        "from, separated by commas. Empty allows uploads and the network only.",
    )
    private_hosts: str = Field(
        "",
        alias="KB_PRIVATE_HOSTS",
        description="Hosts in private networks that such a dashboard may ingest from: names, "
        "addresses or networks, separated by commas.",
    )

    @property
    def ingest_folder_paths(self) -> tuple[Path, ...]:
        """`ingest_folders` as absolute paths."""
        return tuple(Path(name).expanduser().absolute() for name in _names(self.ingest_folders))

    @property
    def private_host_names(self) -> tuple[str, ...]:
        """`private_hosts` as a tuple, without empty names."""
        return _names(self.private_hosts)

    @property
    def upload_max_bytes(self) -> int:
        """`upload_max_gb` in bytes."""
        return int(self.upload_max_gb * 1e9)

    @property
    def trusted_proxy_names(self) -> tuple[str, ...]:
        """`trusted_proxies` as a tuple, without empty names."""
        return _names(self.trusted_proxies)
