"""Text of the address and port on which the speaker listens."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from speaker.bgp.settings import ListenAt


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (ListenAt(), "*:179"),
        (ListenAt(ip_address("10.0.0.1")), "10.0.0.1:179"),
        (ListenAt(ip_address("fd00::1"), 1179), "[fd00::1]:1179"),
    ],
)
def test_listen_address_and_port_as_text(at: ListenAt, text: str) -> None:
    assert str(at) == text
