"""Limits for sign-in tries: of one address, of one device, and of the whole server.

A try is counted before it is admitted, and one caller has one try under way at a time, so that
parallel requests gain nothing. A device that has signed in before has a count of its own (OWASP,
"Slow Down Online Guessing Attacks with Device Cookies"): guesses of other people behind the same
address, or from everywhere, do not keep it out.
"""

from __future__ import annotations

import ipaddress
import os
import time
from collections import deque
from collections.abc import Callable, Iterable

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

TRIES, TRIES_S = 5, 60.0  # tries of one caller within this time before it has to wait
SERVER_TRIES = 60  # tries of all unknown callers within that time
REMEMBER_S = 3600.0  # addresses that failed within this time share a count of their own
BUSY_S = 1.0  # wait of a caller that has a try under way
_MAX_CALLERS = 10_000  # addresses kept in memory


class SignInLimits:
    """The counts of one server; not for several threads. `clock` returns seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tries: dict[str, deque[float]] = {}
        self._failed_at: dict[str, float] = {}
        self._under_way: set[str] = set()
        # Addresses that failed before share one count and all others another one: guessing from a
        # few addresses does not use up the tries of a user at a new one.
        self._server: dict[bool, deque[float]] = {False: deque(), True: deque()}

    def admit(self, caller: str, *, device: bool = False) -> float:
        """Count a try and return 0.0, or return the seconds that the caller has to wait.

        Every admitted try must be ended with `finish`. `device` is True for a device that has
        signed in before; the limit of the whole server does not apply to it.
        """
        now = self._clock()
        if caller in self._under_way:
            return BUSY_S
        own = self._tries.setdefault(caller, deque())
        server = self._server[self._failed_before(caller, now)]
        wait_s = _wait_s(own, TRIES, now)
        if not device:
            wait_s = max(wait_s, _wait_s(server, SERVER_TRIES, now))
        if wait_s:
            return wait_s
        own.append(now)
        if not device:
            server.append(now)
        self._under_way.add(caller)
        self._forget(now)
        return 0.0

    def finish(self, caller: str, *, success: bool) -> None:
        """End an admitted try; a success clears the caller's count."""
        self._under_way.discard(caller)
        if success:
            self._tries.pop(caller, None)
            self._failed_at.pop(caller, None)
        else:
            self._failed_at[caller] = self._clock()

    def _failed_before(self, caller: str, now: float) -> bool:
        return now - self._failed_at.get(caller, -REMEMBER_S - 1) <= REMEMBER_S

    def _forget(self, now: float) -> None:
        """Remove callers without a count, so that memory stays bounded."""
        if len(self._tries) + len(self._failed_at) <= _MAX_CALLERS:
            return
        self._tries = {
            caller: tries
            for caller, tries in self._tries.items()
            if tries and now - tries[-1] <= TRIES_S
        }
        recent = sorted(self._failed_at.items(), key=lambda each: each[1])[-_MAX_CALLERS // 2 :]
        self._failed_at = dict(recent)


def _wait_s(tries: deque[float], limit: int, now: float) -> float:
    while tries and now - tries[0] > TRIES_S:
        tries.popleft()
    return max(BUSY_S, TRIES_S - (now - tries[0])) if len(tries) >= limit else 0.0


def caller_of(address: str) -> str:
    """Return the name under which the tries of an address are counted.

    An IPv6 network of 64 bits counts as one caller, because one machine may use all its addresses.
    """
    try:
        found = ipaddress.ip_address(address.split("%", 1)[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)


class TrustedProxies:
    """Proxies whose `X-Forwarded-For` is believed: addresses and networks of a setting."""

    def __init__(self, names: Iterable[str]) -> None:
        self._networks = [ipaddress.ip_network(name, strict=False) for name in names]

    def client_address(self, peer: str, forwarded: Iterable[str]) -> str:
        """Return the address of the client behind the trusted proxies.

        `peer` is the address that the server gives for the connection, `forwarded` the values of
        all `X-Forwarded-For` headers. uvicorn itself believes that header from loopback and then
        gives one of its entries for the peer: such a peer counts as loopback, which is trusted
        only where the setting names it.
        """
        values = list(forwarded)
        entries = [each.strip() for value in values for each in value.split(",")]
        entries = [_host(each) for each in entries if each]
        if not entries:
            return peer
        if peer == _uvicorn_choice(values):
            peer = "127.0.0.1"
        if not self._trusts(peer):
            return peer
        for entry in reversed(entries):
            if not self._trusts(entry):
                return entry
        return entries[0]

    def _trusts(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        found = getattr(found, "ipv4_mapped", None) or found
        return any(found in network for network in self._networks)


def _host(entry: str) -> str:
    """Return the address of an entry without its port: `[::1]:80`, `10.0.0.1:80`."""
    if entry.startswith("["):
        return entry[1:].split("]", 1)[0]
    return entry.split(":", 1)[0] if entry.count(":") == 1 else entry


def _uvicorn_choice(forwarded: list[str]) -> str:
    """Return the address that uvicorn takes from the header of a connection from loopback.

    uvicorn's own code decides: a second parser would differ for `10.0.0.1:x` or two addresses of
    loopback, and every difference is a new caller for the limits.
    """
    trusted = os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1,::1")
    hosts = ProxyHeadersMiddleware(_no_application, trusted).trusted_hosts
    return str(hosts.get_trusted_client_address(", ".join(forwarded))[0])


async def _no_application(*_arguments: object) -> None:
    """Stand in for the application, which is not called."""
