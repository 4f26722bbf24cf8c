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
def test_where_prints(at: ListenAt, text: str) -> None:
    assert str(at) == text
