"""Encryption and decryption (AES-GCM), in the format of memberlist."""

from __future__ import annotations

from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from metallb_py.protocols.memberlist.codec.keyring import (
    OVERHEAD,
    REMEMBERED,
    KeyLength,
    Keyring,
    Nonces,
    SealError,
    derive,
)

NONCE = bytes(range(12))
KEY, OTHER = b"k" * 16, b"o" * 32


@pytest.mark.parametrize(
    ("secret", "length", "key"),
    [
        (b"", 16, "e3b0c44298fc1c149afbf4c8996fb924"),
        (b"secret", 16, "736563726574e3b0c44298fc1c149afb"),
        (b"secret", 32, "736563726574e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495"),
        (b"s" * 40, 32, "73" * 32),
    ],
)
def test_key_is_the_secret_padded_to_the_key_length(
    secret: bytes, length: KeyLength, key: str
) -> None:
    assert derive(secret, length).hex() == key


def test_sealed_message_is_version_nonce_ciphertext_and_tag() -> None:
    sealed = Keyring((KEY, OTHER)).seal(b"plain", NONCE, b"label")
    assert sealed == b"\x01" + NONCE + AESGCM(KEY).encrypt(NONCE, b"plain", b"label")
    assert len(sealed) == len(b"plain") + OVERHEAD


@pytest.mark.parametrize("key", [KEY, OTHER])
def test_every_key_of_the_keyring_decrypts(key: bytes) -> None:
    sealed = Keyring((key,)).seal(b"plain", NONCE, b"label")
    assert Keyring((KEY, OTHER)).open(sealed, b"label") == b"plain"


def test_keyrings_of_16_and_32_byte_keys_interoperate() -> None:
    short, long = Keyring.of(b"secret", 16), Keyring.of(b"secret", 32)
    assert long.open(short.seal(b"x", NONCE, b""), b"") == b"x"
    assert short.open(long.seal(b"x", NONCE, b""), b"") == b"x"
    Keyring((derive(b"secret", 32),)).open(long.seal(b"x", NONCE, b""), b"")


def test_tampered_message_cannot_be_decrypted() -> None:
    keyring = Keyring((KEY,))
    sealed = keyring.seal(b"plain", NONCE, b"label")
    for at in range(len(sealed)):
        tampered = bytearray(sealed)
        tampered[at] ^= 0x40
        with pytest.raises(SealError):
            keyring.open(bytes(tampered), b"label")
    for length in range(len(sealed)):
        with pytest.raises(SealError):
            keyring.open(sealed[:length], b"label")
    for associated in (b"", b"Label"):
        with pytest.raises(SealError):
            keyring.open(sealed, associated)
    with pytest.raises(SealError):
        Keyring((OTHER,)).open(sealed, b"label")


def padded(plain: bytes) -> bytes:
    """Encrypt in version 0, as members of protocol version 1 do, with any padding."""
    return b"\x00" + NONCE + AESGCM(KEY).encrypt(NONCE, plain, b"")


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17])
def test_version_0_padding_is_removed(length: int) -> None:
    count = 16 - length % 16
    assert (
        Keyring((KEY,)).open(padded(b"x" * length + bytes((count,)) * count), b"") == b"x" * length
    )


@pytest.mark.parametrize(
    "plain",
    [b"", bytes(16), b"\x11" * 32, b"x" * 14 + b"\x03\x02", b"x\x01", b"x" * 15 + b"\xff"],
    ids=["none", "zero", "too long", "mixed", "no block", "huge"],
)
def test_wrong_version_0_padding_is_an_error(plain: bytes) -> None:
    with pytest.raises(SealError, match="padding"):
        Keyring((KEY,)).open(padded(plain), b"")


@pytest.mark.parametrize("keys", [(), (b"short",), (KEY, b"x" * 17)])
def test_keyring_without_valid_keys_is_an_error(keys: tuple[bytes, ...]) -> None:
    with pytest.raises(ValueError, match=r"."):
        Keyring(keys)


def test_nonce_of_wrong_length_is_an_error() -> None:
    with pytest.raises(ValueError, match="11 bytes"):
        Keyring((KEY,)).seal(b"", NONCE[1:], b"")


def test_the_latest_nonces_are_remembered() -> None:
    nonces = Nonces()
    made = [sha256(bytes((n // 256, n % 256))).digest()[:12] for n in range(REMEMBERED + 2)]
    for nonce in made:
        assert nonce not in nonces
        nonces.add(nonce)
    assert [nonce in nonces for nonce in made[:3]] == [False, False, True]
    assert all(nonce in nonces for nonce in made[2:])
