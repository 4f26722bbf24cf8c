"""MetalLB 0.16's file with the settings of memberlist."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from metallb_py.errors import StartupError
from metallb_py.protocols.memberlist.settings import LAN
from speaker.membership.memberlist_json import parse, read

# memberlist's LAN preset, with MetalLB's keys.
PRESET: dict[str, object] = {
    "TCPTimeout": "10s",
    "IndirectChecks": 3,
    "RetransmitMult": 4,
    "SuspicionMult": 4,
    "SuspicionMaxTimeoutMult": 6,
    "PushPullInterval": "30s",
    "ProbeTimeout": "500ms",
    "ProbeInterval": "1s",
    "DisableTcpPings": False,
    "AwarenessMaxMultiplier": 8,
    "GossipNodes": 3,
    "GossipInterval": "200ms",
    "GossipToTheDeadTime": "30s",
    "GossipVerifyIncoming": True,
    "GossipVerifyOutgoing": True,
    "EnableCompression": True,
    "HandoffQueueDepth": 1024,
    "UDPBufferSize": 1400,
    "QueueCheckInterval": "30s",
}


def text(**changes: object) -> bytes:
    return json.dumps(PRESET | changes).encode()


def test_every_setting_is_read() -> None:
    assert parse(text()) == LAN
    settings = parse(text(ProbeInterval="1m2.5s", DisableTcpPings=True, EnableCompression=False))
    assert settings.probe_interval == 62.5
    assert not settings.tcp_pings
    assert not settings.compression


@pytest.mark.parametrize("name", PRESET)
def test_every_setting_is_required_as_in_metallb(name: str) -> None:
    without = {key: value for key, value in PRESET.items() if key != name}
    with pytest.raises(ValueError, match=name):
        parse(json.dumps(without).encode())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ProbeInterval": "1 second"}, 'ProbeInterval: time: unknown unit " second"'),
        ({"ProbeInterval": "0s"}, 'ProbeInterval: "0s": want a time above 0, such as 200ms'),
        ({"GossipNodes": 0}, "GossipNodes: 0: want a number from 1 to 65507"),
        ({"UDPBufferSize": 100}, "UDPBufferSize: 100: want a number from 512 to 65507"),
        ({"GossipNodes": "three"}, "Expected `int`, got `str` - at `$.GossipNodes`"),
    ],
)
def test_an_invalid_setting_is_reported(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        parse(text(**changes))


def test_a_missing_file_changes_nothing(tmp_path: Path) -> None:
    assert read(tmp_path / "config.json") is None


def test_an_invalid_file_is_a_startup_error_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text("{")
    with pytest.raises(StartupError, match=f"failed to load memberlist config: {path}: "):
        read(path)
