"""TCP MD5 signatures between two sockets, on loopback of a namespace."""

from __future__ import annotations

import socket
from ipaddress import ip_address

import pytest

from metallb_py.errors import LocalProtocolError
from speaker.linux.tcp_md5 import MAX_PASSWORD, sign_segments

pytestmark = [pytest.mark.netns, pytest.mark.usefixtures("cable")]


def connect(host: str, ours: str | None, theirs: str) -> None:
    """Connect with one password to a listener that requires another. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with (
        socket.create_server((host, 179), family=family) as server,
        socket.socket(family, socket.SOCK_STREAM) as client,
    ):
        sign_segments(server, ip_address(host), theirs)
        client.settimeout(0.5)
        if ours is not None:
            sign_segments(client, ip_address(host), ours)
        client.connect((host, 179))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_equal_md5_passwords_connect(host: str) -> None:
    connect(host, "s3cret", "s3cret")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("ours", ["other", None])
def test_other_or_missing_md5_password_gets_no_answer(host: str, ours: str | None) -> None:
    with pytest.raises(TimeoutError):
        connect(host, ours, "s3cret")


def test_the_longest_password_is_80_bytes_of_utf8() -> None:
    connect("127.0.0.1", "ä" * 40, "ä" * 40)

    with pytest.raises(LocalProtocolError, match=f"81 bytes, want up to {MAX_PASSWORD}"):
        connect("127.0.0.1", "ä" * 40 + "x", "s3cret")
