"""Addresses that a server listens on."""

from __future__ import annotations

import ipaddress


def is_loopback(address: str | None) -> bool:
    """Return True if a server bound to this address is reached from this machine alone.

    An empty address means every interface.
    """
    if not address:
        return False
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return address.lower() == "localhost"
