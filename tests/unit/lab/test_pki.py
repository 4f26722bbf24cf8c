"""The certificates, judged by OpenSSL."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from metallb_py.lab.pki import write_certificates


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_certificates(tmp_path, ["172.30.0.2", "10.96.0.1"])
    return tmp_path


def handshake(folder: Path, address: str) -> None:
    """Shake hands in memory, as a client that trusts the CA and expects this address."""
    client = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.crt", folder / "server.key")
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(back, there, server_hostname=address)
    theirs = server.wrap_bio(there, back, server_side=True)
    waiting = [ours, theirs]
    while waiting:
        side = waiting.pop(0)
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            waiting.append(side)


@pytest.mark.parametrize("address", ["172.30.0.2", "10.96.0.1"])
def test_a_client_trusts_the_server_at_its_addresses(folder: Path, address: str) -> None:
    handshake(folder, address)


def test_a_client_trusts_it_nowhere_else(folder: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        handshake(folder, "172.30.0.3")


def test_the_service_accounts_have_a_pair_of_keys(folder: Path) -> None:
    assert (folder / "sa.key").read_text().startswith("-----BEGIN PRIVATE KEY-----")
    assert (folder / "sa.pub").read_text().startswith("-----BEGIN PUBLIC KEY-----")


def test_keys_are_for_their_owner_alone(folder: Path) -> None:
    for name in ("server.key", "sa.key"):
        assert (folder / name).stat().st_mode & 0o777 == 0o600
