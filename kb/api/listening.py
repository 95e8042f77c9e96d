"""The address of a server of this program: its socket, and who may reach it."""

from __future__ import annotations

import socket

from kb.api.guard import check_keys
from kb.errors import UsageError
from kb.service.access_keys import keys_exist
from kb.settings import Settings
from kb.types.addresses import is_loopback

BACKLOG = 256


def check_access(host: str, settings: Settings) -> None:
    """Raise UsageError if others could reach a server at this address without a key.

    Raises LibraryError, and SettingsError for a key that could be guessed, or that no header can
    carry.
    """
    if not is_loopback(host) and not keys_exist(settings):
        raise UsageError(
            "api.unguarded",
            "The API would listen on {host}, where others reach it, and asks for no key.",
            hint="Make a key: kb keys add NAME; or set KB_API_KEYS to long random words; or stay "
            "on this machine: --host 127.0.0.1",
            host=host or "every interface",
        )
    check_keys(settings)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket at an address; port 0 is any free one. Raises UsageError."""
    try:
        family = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise UsageError(
            "api.address",
            "The API cannot listen on {address}: {reason}.",
            hint="Give another address: --host, --port",
            address=address(host, port),
            reason=reason or error,
        ) from error
    # Connections inherit it; asyncio sets it only on sockets that name their protocol. Without it
    # the body of an answer, written after its head, waits for the client's delayed receipt: 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def address(host: str, port: int) -> str:
    """Return the address of a server as a link, without a path."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
