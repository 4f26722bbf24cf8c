"""Certificates and keys for the lab's API server, in files."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from metallb_py.runtime.pki import Authority, key_pair

VALID = timedelta(days=1)
WEBHOOK_CLIENT = "lab-apiserver"


def write_certificates(folder: Path, addresses: list[str]) -> None:
    """Write ca.crt, server.crt and server.key, and sa.key and sa.pub for service accounts.

    Also write webhook-client.crt and webhook-client.key, which the API server shows to webhooks.
    """
    now = datetime.now(UTC)
    authority = Authority.create("lab-ca", now, VALID)
    server = authority.issue("kube-apiserver", addresses, now, VALID)
    client = authority.issue(WEBHOOK_CLIENT, [WEBHOOK_CLIENT], now, VALID)
    private, public = key_pair()
    (folder / "ca.crt").write_bytes(authority.certificate)
    (folder / "server.crt").write_bytes(server.certificate)
    (folder / "sa.pub").write_bytes(public)
    (folder / "webhook-client.crt").write_bytes(client.certificate)
    _write_secret(folder / "webhook-client.key", client.key)
    _write_secret(folder / "server.key", server.key)
    _write_secret(folder / "sa.key", private)


def _write_secret(path: Path, data: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(data)
