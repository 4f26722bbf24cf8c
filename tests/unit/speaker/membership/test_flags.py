"""Flags and environment of memberlist: MetalLB's, and our own."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest

from metallb_py.protocols.memberlist.codec.messages import Endpoint
from metallb_py.protocols.memberlist.settings import FAST, WAN
from speaker.cli import parse
from speaker.membership.settings import GossipSettings, LeaseSettings
from speaker.options import Options

NODE = ("--node-name=n", "--namespace=metallb-system")
MEMBERLIST = (*NODE, "--ml-bindaddr=192.0.2.1", "--ml-labels=app=metallb")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BIND_ADDR", "BIND_PORT", "LABELS", "SECRET_KEY", "SECRET_KEY_PATH"):
        monkeypatch.delenv(f"METALLB_ML_{name}", raising=False)


def gossip(options: Options) -> GossipSettings:
    assert isinstance(options.membership, GossipSettings)
    return options.membership


def test_memberlist_needs_bind_address_and_labels_as_in_metallb() -> None:
    assert isinstance(parse([*MEMBERLIST]).membership, GossipSettings)
    assert parse([*NODE]).membership is None
    assert parse([*NODE, "--ml-bindaddr=192.0.2.1"]).membership is None
    assert parse([*MEMBERLIST, "--membership=none"]).membership is None


def test_lease_membership_needs_no_memberlist_flags() -> None:
    assert parse([*MEMBERLIST, "--membership=lease"]).membership == LeaseSettings()
    given = parse([*NODE, "--membership=lease", "--lease-namespace=leases"])
    assert given.membership == LeaseSettings("leases")


def test_metallbs_environment_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METALLB_ML_BIND_ADDR", "2001:db8::1")
    monkeypatch.setenv("METALLB_ML_BIND_PORT", "7947")
    monkeypatch.setenv("METALLB_ML_LABELS", "app=metallb")
    monkeypatch.setenv("METALLB_ML_SECRET_KEY", "quite secret")
    made = gossip(parse([*NODE]))
    assert made == GossipSettings(
        Endpoint(ip_address("2001:db8::1"), 7947), b"quite secret", 16, "", FAST
    )


def test_the_default_bind_port_is_that_of_memberlist() -> None:
    assert gossip(parse([*MEMBERLIST])).bind.port == 7946
    assert gossip(parse([*MEMBERLIST, "--ml-bindport="])).bind.port == 7946


def test_a_secret_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "secretkey").write_bytes(b"from a file\n")
    made = gossip(parse([*MEMBERLIST, f"--ml-secret-key-path={tmp_path}"]))
    assert made.secret == b"from a file\n"


def test_key_bytes_and_wan_config_of_later_metallb_versions() -> None:
    made = gossip(parse([*MEMBERLIST, "--ml-key-bytes=32", "--ml-wan-config"]))
    assert made.key_bytes == 32
    assert made.settings == WAN


def test_a_secret_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    options = parse([*MEMBERLIST, "--ml-secret-key=quite secret"])
    assert "quite secret" not in repr(options)
    with pytest.raises(SystemExit):
        parse([*MEMBERLIST, "--ml-secret-key=quite secret", "--help"])
    assert "quite secret" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--membership=raft", '"raft": want one of memberlist, lease, none'),
        ("--ml-bindport=much", '"much": want a port from 0 to 65535'),
        ("--ml-bindport=0", '"0": want a port from 1 to 65535'),
        ("--ml-key-bytes=24", '"24": want 16 or 32'),
        ("--ml-bindaddr=node1", '--ml-bindaddr: "node1": want an IP address'),
        ("--ml-bindaddr=0.0.0.0", "want the address that others reach it by"),
        ("--ml-secret-key-path=/nowhere", "/nowhere/secretkey: No such file or directory"),
    ],
)
def test_invalid_flags_are_reported(
    flag: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse([*MEMBERLIST, flag])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
