"""Refusal of connections to private networks, for media that people elsewhere ask for.

A person who names an address makes this machine connect to it (server-side request forgery): to its
own services, to routers, to the data of a cloud's machines. The check is made where the connection
is opened, on the address that was resolved, so redirects, other spellings of an address and names
that lead elsewhere at the second look are covered. Python reports every connection to its audit
hooks, whichever library opens it; programs that are started with an address are refused too.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies
from weakref import WeakKeyDictionary

from kb.errors import MediaUnavailable
from kb.settings import Settings
from kb.types.safe_text import hide_credentials

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_CONNECT = "socket.connect"
_START_PROGRAM = ("subprocess.Popen", "os.posix_spawn", "os.exec", "os.system")
# Networks that translate to IPv4: the address inside decides.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class _Refused(BaseException):
    """Ends a library's work; no library handles it as one of its own errors."""


class _Guard:
    def __init__(self, settings: Settings) -> None:
        self.allowed = _allowed(settings)
        self.refused = ""

    def check(self, host: str) -> None:
        address = _parsed(host)
        if address is None or not (is_public(address) or self.is_allowed(address)):
            self.refused = host
            raise _Refused(host)

    def is_allowed(self, address: Address) -> bool:
        inner = embedded(address)
        return any(address in network or inner in network for network in self.allowed)


_local = threading.local()
_inherited: WeakKeyDictionary[threading.Thread, _Guard] = WeakKeyDictionary()
_hook_lock = threading.Lock()
_hook_added = False


def is_public(address: Address) -> bool:
    """Return whether an address belongs to the public network, also as written inside another."""
    inner = embedded(address)
    if inner is not address:
        return is_public(inner)
    if isinstance(address, ipaddress.IPv6Address) and address.is_site_local:
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def embedded(address: Address) -> Address:
    """Return the IPv4 address inside an IPv6 address (mapped, 6to4, Teredo, NAT64), else itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped:
        return address.ipv4_mapped
    if address.sixtofour:
        return address.sixtofour
    if address.teredo:
        return address.teredo[1]
    if address in _NAT64 or (int(address) >> 32 == 0 and int(address) > 1):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


@contextmanager
def private_networks_refused(settings: Settings, address: str) -> Iterator[None]:
    """Refuse connections to private networks within the block, if the settings are shared.

    `address` is what was asked for. Hosts of `KB_PRIVATE_HOSTS` and a proxy of the settings are
    allowed; with a proxy the name in `address` is checked too, because the proxy connects. Raises
    MediaUnavailable.
    """
    if not settings.shared:
        yield
        return
    _add_hook()
    guard = _Guard(settings)
    before = getattr(_local, "guard", None)
    try:
        if _proxies(settings):
            _check_names(guard, address)
        _local.guard = guard
        yield
    except _Refused:
        raise _error(guard, address) from None
    except Exception:
        if guard.refused:
            raise _error(guard, address) from None
        raise
    finally:
        _local.guard = before


def refuse_private_host(settings: Settings, address: str) -> None:
    """Raise MediaUnavailable for an address whose host leads into a private network now.

    A source tries such an address several times; this answers at once. Each connection is checked
    all the same, because a name may lead elsewhere at the second look.
    """
    if settings.shared:
        guard = _Guard(settings)
        try:
            _check_names(guard, address)
        except _Refused:
            raise _error(guard, address) from None


def _error(guard: _Guard, address: str) -> MediaUnavailable:
    return MediaUnavailable(
        "address.private",
        "{address} leads to {host}, which is in a private network.",
        hint="This server takes media from the public network only; its operator can allow a host "
        "by KB_PRIVATE_HOSTS.",
        address=hide_credentials(address),
        host=guard.refused,
    )


def _check_names(guard: _Guard, address: str) -> None:
    with suppress(ValueError, OSError):
        host = urlsplit(address).hostname or ""
        for *_, found in socket.getaddrinfo(host, None):
            guard.check(str(found[0]))


def _allowed(settings: Settings) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    found: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
    for name in (*settings.private_host_names, *_proxies(settings)):
        try:
            found.append(ipaddress.ip_network(name, strict=False))
        except ValueError:
            with suppress(OSError, UnicodeError):
                found += [
                    ipaddress.ip_network(str(each[4][0]).split("%", 1)[0])
                    for each in socket.getaddrinfo(name, None)
                ]
    return found


def _proxies(settings: Settings) -> list[str]:
    """Return the hosts of the proxies in use."""
    own = settings.proxy.get_secret_value()
    named = [own] if own else [v for k, v in getproxies().items() if k in ("http", "https", "all")]
    hosts = []
    for each in named:
        with suppress(ValueError):
            hosts.append(urlsplit(each if "://" in each else f"//{each}").hostname or "")
    return [host for host in hosts if host]


def _parsed(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.split("%", 1)[0])
    except ValueError:
        return None


def _add_hook() -> None:
    global _hook_added
    with _hook_lock:
        if not _hook_added:
            sys.addaudithook(_audit)
            _follow_threads()
            _hook_added = True


def _follow_threads() -> None:
    """Give threads the guard of the thread that starts them; Python reports no start of one."""
    start = threading.Thread.start

    def start_with_guard(thread: threading.Thread) -> None:
        guard = _current()
        if guard is not None:
            _inherited[thread] = guard
        start(thread)

    threading.Thread.start = start_with_guard  # type: ignore[method-assign, assignment]


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event == _CONNECT:
        guard = _current()
        address = arguments[1]
        if guard is not None and isinstance(address, tuple):  # a text is a local socket
            guard.check(str(address[0]))
    elif event in _START_PROGRAM:
        guard = _current()
        if guard is not None and "://" in repr(arguments[:2]):
            guard.refused = "another program"
            raise _Refused("a program would open the address")


def _current() -> _Guard | None:
    guard = getattr(_local, "guard", None)
    if guard is None and _inherited:
        guard = _inherited.get(threading.current_thread())
    return guard
