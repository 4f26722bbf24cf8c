"""Sealing by AES-GCM with the keys that a cluster shares (memberlist's ``security.go``).

Sealed bytes are a version, a nonce of 12 bytes, and what AES-GCM makes, with its tag. Version 0,
which members of protocol version 1 send, pads what it seals to whole blocks; version 1 does not.
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
"""How many bytes sealing adds."""

REMEMBERED: Final = 4096
"""How many nonces are remembered."""

_PADDED: Final = 0
_PLAIN: Final = 1
_BLOCK: Final = 16

KeyLength = Literal[16, 32]


class SealError(RemoteProtocolError):
    """No key opens these bytes, or they are not sealed at all."""


def derive(secret: bytes, length: KeyLength) -> bytes:
    """Return the key that MetalLB makes of its secret: 16 bytes, or 32 as it may since 0.14.2.

    It takes the first bytes of the secret with the hash of nothing after it, not the secret's
    hash: of a long secret just the beginning counts.
    """
    return (secret + sha256(b"").digest())[:length]


class Keyring:
    """A cluster's keys, of 16, 24 or 32 bytes: the first seals, all open.

    Raises ValueError where there are none, and for a key of another length.
    """

    __slots__ = ("_ciphers",)

    def __init__(self, keys: tuple[bytes, ...]) -> None:
        if not keys:
            raise ValueError("found no keys, want at least one")
        self._ciphers = tuple(AESGCM(key) for key in keys)

    @classmethod
    def of(cls, secret: bytes, length: KeyLength) -> Keyring:
        """Take both keys that MetalLB may make of a secret, that of ``length`` for sealing."""
        other: KeyLength = 32 if length == 16 else 16
        return cls((derive(secret, length), derive(secret, other)))

    def seal(self, plain: bytes, nonce: bytes, associated: bytes) -> bytes:
        """Seal by the first key. A nonce must never come twice, from no member of the cluster.

        Raises ValueError for one that is not 12 bytes long.
        """
        if len(nonce) != NONCE:
            raise ValueError(f"found a nonce of {len(nonce)} bytes, want {NONCE}")
        sealed = self._ciphers[0].encrypt(nonce, plain, associated)
        return bytes((_PLAIN,)) + nonce + sealed

    def open(self, sealed: bytes, associated: bytes) -> bytes:
        """Return what was sealed. Raises SealError."""
        if len(sealed) < OVERHEAD or sealed[0] not in (_PADDED, _PLAIN):
            raise SealError(f"found {len(sealed)} bytes that are not sealed")
        nonce, body = sealed[1 : 1 + NONCE], sealed[1 + NONCE :]
        for cipher in self._ciphers:
            try:
                plain = cipher.decrypt(nonce, body, associated)
            except InvalidTag:
                continue
            return plain if sealed[0] == _PLAIN else _unpadded(plain)
        raise SealError(f"found {len(sealed)} bytes that no key opens")


class Nonces:
    """The nonces of the latest 4,096 things that were opened, so that none is taken twice."""

    __slots__ = ("_known", "_order")

    def __init__(self) -> None:
        self._known: set[bytes] = set()
        self._order: deque[bytes] = deque()

    def __contains__(self, nonce: bytes) -> bool:
        return nonce in self._known

    def add(self, nonce: bytes) -> None:
        """Remember one that is not known yet."""
        self._known.add(nonce)
        self._order.append(nonce)
        if len(self._order) > REMEMBERED:
            self._known.remove(self._order.popleft())


def _unpadded(plain: bytes) -> bytes:
    """Take the padding off (PKCS #7, RFC 5652 section 6.3)."""
    padding = plain[-1:] * (plain[-1] if plain else 0)
    if not 0 < len(padding) <= _BLOCK or len(plain) % _BLOCK or not plain.endswith(padding):
        raise SealError(f"found {len(plain)} bytes with wrong padding")
    return plain[: -len(padding)]
