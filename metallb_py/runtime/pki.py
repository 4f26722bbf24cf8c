"""Certificates: a private authority and the certificates it issues. Keys stay in memory."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

# Clocks differ between hosts, so validity begins a little earlier than now.
_SLACK = timedelta(hours=1)

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate and its key, in PEM. The key is not part of the repr."""

    certificate: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority. ``certificate`` is the one for clients to trust, in PEM."""

    certificate: bytes
    _name: x509.Name
    _key: ec.EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def create(cls, name: str, now: datetime, valid: timedelta) -> Self:
        """Create an authority that is valid for the duration ``valid`` from ``now``."""
        key, subject = _new_key(), _common_name(name)
        certificate = _builder(subject, subject, key.public_key(), now, valid, is_ca=True)
        return cls(_pem(certificate.sign(key, hashes.SHA256())), subject, key)

    def issue(self, name: str, hosts: list[str], now: datetime, valid: timedelta) -> Identity:
        """Issue a server certificate for these DNS names and addresses."""
        key = _new_key()
        alternatives = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        # Two authorities may have one name, as during a rotation; their key identifiers differ.
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            _builder(_common_name(name), self._name, key.public_key(), now, valid, is_ca=False)
            .add_extension(alternatives, critical=False)
            .add_extension(issuer, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return Identity(_pem(certificate), private_pem(key))


def merge_bundle(own: Sequence[bytes], bundle: bytes, now: datetime, limit: int) -> list[bytes]:
    """Return the certificates to trust: our own, then the newest others of a bundle, in PEM.

    At most ``limit`` in total, but never without our own. A certificate that is not valid now, or
    can't be parsed, is omitted: one made by a clock that ran ahead would be the newest for years.
    """
    others: dict[bytes, datetime] = {}
    for text in _PEM.findall(bundle):
        try:
            certificate = x509.load_pem_x509_certificate(text)
        except ValueError:
            continue
        if certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            others[_pem(certificate)] = certificate.not_valid_before_utc
    for known in own:
        others.pop(known, None)
    newest = sorted(others, key=others.__getitem__, reverse=True)
    return [*own, *newest[: max(0, limit - len(own))]]


def key_pair() -> tuple[bytes, bytes]:
    """Create a key pair; return the private and the public key, in PEM."""
    key = _new_key()
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private_pem(key), public


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a private key in PEM (PKCS #8), not encrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _common_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime,
    valid: timedelta,
    *,
    is_ca: bool,
) -> x509.CertificateBuilder:
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SLACK)
        .not_valid_after(now + valid)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )
