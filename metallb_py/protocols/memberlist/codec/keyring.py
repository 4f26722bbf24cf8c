"""Encryption by AES-GCM with the keys that a cluster shares (memberlist's ``security.go``).

Encrypted bytes are a version, a nonce of 12 bytes, and the ciphertext with its tag. Version 0,
which members of protocol version 1 send, pads the plaintext to whole blocks; version 1 does not.
"""

from __future__ import annotations

from collections import deque
from hashlib import sha256
from typing import Final, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from metallb_py.errors import RemoteProtocolError

NONCE: Final = 12
"""The length of a nonce, in bytes."""
OVERHEAD: Final = 1 + NONCE + 16
"""Bytes that encryption adds."""

REMEMBERED: Final = 4096
"""Number of nonces that are kept."""

_PADDED: Final = 0
_PLAIN: Final = 1
_BLOCK: Final = 16

KeyLength = Literal[16, 32]


class SealError(RemoteProtocolError):
    """No key decrypts these bytes, or they are not encrypted."""


def derive(secret: bytes, length: KeyLength) -> bytes:
    """Return the key that MetalLB derives from its secret: 16 bytes, or 32 from 0.14.2 on.

    It takes the first bytes of the secret followed by the hash of the empty string, not the
    secret's hash: of a long secret only the beginning counts.
    """
    return (secret + sha256(b"").digest())[:length]


class Keyring:
    """A cluster's keys, of 16, 24 or 32 bytes: the first encrypts, all decrypt.

    Raises ValueError without a key, and for a key of another length.
    """

    __slots__ = ("_ciphers",)

    def __init__(self, keys: tuple[bytes, ...]) -> None:
        if not keys:
            raise ValueError("found no keys, want at least one")
        self._ciphers = tuple(AESGCM(key) for key in keys)

    @classmethod
    def of(cls, secret: bytes, length: KeyLength) -> Keyring:
        """Return both keys that MetalLB may derive from a secret; that of ``length`` encrypts."""
        other: KeyLength = 32 if length == 16 else 16
        return cls((derive(secret, length), derive(secret, other)))

    def seal(self, plain: bytes, nonce: bytes, associated: bytes) -> bytes:
        """Encrypt with the first key. No member of the cluster may use a nonce twice.

        Raises ValueError for a nonce that is not 12 bytes long.
        """
        if len(nonce) != NONCE:
            raise ValueError(f"found a nonce of {len(nonce)} bytes, want {NONCE}")
        sealed = self._ciphers[0].encrypt(nonce, plain, associated)
        return bytes((_PLAIN,)) + nonce + sealed

    def open(self, sealed: bytes, associated: bytes) -> bytes:
        """Return the decrypted bytes. Raises SealError."""
        if len(sealed) < OVERHEAD or sealed[0] not in (_PADDED, _PLAIN):
            raise SealError(f"found {len(sealed)} bytes that are not encrypted")
        nonce, body = sealed[1 : 1 + NONCE], sealed[1 + NONCE :]
        for cipher in self._ciphers:
            try:
                plain = cipher.decrypt(nonce, body, associated)
            except InvalidTag:
                continue
            return plain if sealed[0] == _PLAIN else _unpadded(plain)
        raise SealError(f"found {len(sealed)} bytes that no key decrypts")


class Nonces:
    """The nonces of the latest 4,096 decrypted datagrams, so that none is accepted twice."""

    __slots__ = ("_known", "_order")

    def __init__(self) -> None:
        self._known: set[bytes] = set()
        self._order: deque[bytes] = deque()

    def __contains__(self, nonce: bytes) -> bool:
        return nonce in self._known

    def add(self, nonce: bytes) -> None:
        """Add a nonce that is not contained yet."""
        self._known.add(nonce)
        self._order.append(nonce)
        if len(self._order) > REMEMBERED:
            self._known.remove(self._order.popleft())


def _unpadded(plain: bytes) -> bytes:
    """Remove the padding (PKCS #7, RFC 5652 section 6.3). Raises SealError."""
    padding = plain[-1:] * (plain[-1] if plain else 0)
    if not 0 < len(padding) <= _BLOCK or len(plain) % _BLOCK or not plain.endswith(padding):
        raise SealError(f"found {len(plain)} bytes with wrong padding")
    return plain[: -len(padding)]
