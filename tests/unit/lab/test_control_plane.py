"""Certificates of the lab, verified by OpenSSL."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from metallb_py.lab.control_plane import write_certificates


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_certificates(tmp_path, ["172.30.0.2", "10.96.0.1"])
    return tmp_path


def handshake(folder: Path, address: str) -> None:
    """Run a TLS handshake in memory; the client trusts the CA and expects this address."""
    client = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.crt", folder / "server.key")
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client_tls = client.wrap_bio(to_client, to_server, server_hostname=address)
    server_tls = server.wrap_bio(to_server, to_client, server_side=True)
    waiting = [client_tls, server_tls]
    while waiting:
        side = waiting.pop(0)
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            waiting.append(side)


@pytest.mark.parametrize("address", ["172.30.0.2", "10.96.0.1"])
def test_a_client_trusts_the_server_at_its_addresses(folder: Path, address: str) -> None:
    handshake(folder, address)


def test_a_client_rejects_the_server_at_another_address(folder: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        handshake(folder, "172.30.0.3")


def test_service_accounts_have_a_key_pair(folder: Path) -> None:
    assert (folder / "sa.key").read_text().startswith("-----BEGIN PRIVATE KEY-----")
    assert (folder / "sa.pub").read_text().startswith("-----BEGIN PUBLIC KEY-----")


def test_private_keys_are_readable_by_their_owner_alone(folder: Path) -> None:
    for name in ("server.key", "sa.key"):
        assert (folder / name).stat().st_mode & 0o777 == 0o600
