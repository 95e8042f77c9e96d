r"""Ed25519 signatures of evidence packs, with a key in the library's folder.

    <home>/evidence-key.pem      the private key, for its owner's eyes alone; in no backup
    SHA256SUMS.sig               in a pack: the signature of SHA256SUMS (64 bytes)
    SHA256SUMS.pub               in a pack: the public key (PEM), which SHA256SUMS names, too

OpenSSL checks one without this program:

    openssl pkeyutl -verify -pubin -inkey SHA256SUMS.pub -rawin \
        -in SHA256SUMS -sigfile SHA256SUMS.sig

A valid signature shows that the holder of a key signed these hashes. Whose key it is has to be
known from elsewhere: anybody can make one.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from kb import storage
from kb.errors import LibraryError, UsageError
from kb.storage.locks import locked

KEY_FILE = "evidence-key.pem"
SIGNATURE, PUBLIC = "SHA256SUMS.sig", "SHA256SUMS.pub"
MAX_KEY_BYTES = 4096
SIGNATURE_BYTES = 64
_LOCK = "evidence-key.lock"


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key. Its text form has no part of it."""

    _key: Ed25519PrivateKey = field(repr=False)

    def sign(self, data: bytes) -> bytes:
        """Return the signature of some bytes."""
        return self._key.sign(data)

    @property
    def public_pem(self) -> str:
        """The public key."""
        return _public_pem(self._key.public_key()).decode("ascii")

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the public key."""
        return _fingerprint(self._key.public_key())


def signer_of(home: Path) -> Signer:
    """Return the signer of a library; its key is made at the first use.

    Raises UsageError for a key that others may read or that cannot be used, and LibraryError.
    """
    path = home / KEY_FILE
    with storage.held(home) as real, locked(real / _LOCK):
        place = real / KEY_FILE
        if not place.exists():
            _make(place)
        try:
            data, mode = place.read_bytes(), place.stat().st_mode
        except OSError as error:
            raise storage.library_error(error, path, "read") from error
    if os.name != "nt" and stat.S_IMODE(mode) & 0o077:
        raise UsageError(
            "evidence.key_open",
            "Others may read the key {path}.",
            hint="chmod 600 {path}. If it may have been copied, delete it: the next "
            "signature makes another one.",
            path=path,
        )
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError) as error:
        raise _no_key(path) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _no_key(path)
    return Signer(key)


def checked(sums: bytes, signature: bytes, public: bytes) -> str | None:
    """Return the fingerprint of the key that signed, None if the signature is not of these bytes.

    Raises ValueError for a public key that cannot be read.
    """
    key = serialization.load_pem_public_key(public[:MAX_KEY_BYTES])
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("its key is not one of Ed25519")
    try:
        key.verify(signature, sums)
    except InvalidSignature:
        return None
    return _fingerprint(key)


def _make(path: Path) -> None:
    data = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    draft = path.with_name(storage.temporary_name())
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise storage.library_error(error, path, "write") from error


def _public_pem(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _fingerprint(key: Ed25519PublicKey) -> str:
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()


def _no_key(path: Path) -> LibraryError:
    return LibraryError(
        "evidence.key_damaged",
        "{path} is no Ed25519 key that can be read.",
        hint="Put its copy back, or delete it: the next signature makes another one.",
        path=path,
    )
