"""Messages between the speaker and its BFD process: decoded as encoded, within the limit."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from metallb_py.protocols.bfd.session import Counts
from metallb_py.protocols.bfd.settings import Path, Settings
from speaker.bfd.io.messages import (
    BATCH,
    SESSIONS,
    Change,
    Configure,
    PathName,
    Report,
    Totals,
    Watch,
    decode_command,
    decode_report,
    encode,
)
from speaker.linux.channel import MESSAGE_LIMIT

PATHS = [
    Path(ip_address("10.0.0.2")),
    Path(ip_address("10.0.0.2"), ip_address("10.0.0.1"), multihop=True),
    Path(ip_address("fd00::2"), ip_address("fd00::1")),
]


@pytest.mark.parametrize("path", PATHS)
def test_a_path_is_decoded_as_encoded(path: Path) -> None:
    assert PathName.of(path).path == path


def test_commands_and_reports_are_decoded_as_encoded() -> None:
    name = PathName.of(PATHS[1])
    command = Configure((Watch(name, Settings(passive=True)),))
    report = Report(
        (Change(name, up=True, went_down=True, diagnostic=3, peer_admin_down=True),),
        (Totals(name, Counts(1, 2, 3, 4, 5, 6)),),
        ("UDP port 3784 of IPv4: Address already in use",),
    )

    assert decode_command(encode(command)) == command
    assert decode_report(encode(report)) == report


def test_the_largest_messages_are_within_the_limit() -> None:
    name = PathName.of(PATHS[2])
    counts = Counts(*[1 << 40] * 6)
    report = Report((Change(name, up=True),) * BATCH, (Totals(name, counts),) * BATCH)
    largest = 60_000_000
    watch = Watch(name, Settings(largest, largest, 255, largest, minimum_ttl=254))

    assert len(encode(report)) < MESSAGE_LIMIT
    assert len(encode(Configure((watch,) * SESSIONS))) < MESSAGE_LIMIT
