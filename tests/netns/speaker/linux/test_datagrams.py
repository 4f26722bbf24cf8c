"""A UDP socket that reports refusals of destinations without a listener."""

from __future__ import annotations

import select
import socket
from ipaddress import ip_address

import pytest

from metallb_py.protocols.memberlist.codec.messages import Endpoint
from speaker.linux.datagrams import BATCH, Datagrams

pytestmark = pytest.mark.netns
HERE = {4: ("127.0.0.1", "127.0.0.2"), 6: ("::1", "::1")}
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


def bound(version: int) -> Datagrams:
    return Datagrams(Endpoint(ip_address(HERE[version][0]), 0))


def unused_endpoint(version: int) -> Endpoint:
    """Return an endpoint without a listener: a port that was just closed."""
    with socket.socket(FAMILIES[version], socket.SOCK_DGRAM) as other:
        other.bind((HERE[version][1], 0))
        return Endpoint(ip_address(HERE[version][1]), other.getsockname()[1])


def wait(datagrams: Datagrams) -> None:
    assert select.select([datagrams], [], [], 5)[0], "nothing to be read"


@pytest.mark.parametrize("version", [4, 6])
def test_datagrams_go_both_ways(version: int) -> None:
    one, other = bound(version), bound(version)
    try:
        assert one.send(other.endpoint, b"question")
        wait(other)
        assert list(other.receive()) == [(b"question", one.endpoint)]
        assert list(other.receive()) == []
    finally:
        one.close()
        other.close()


@pytest.mark.parametrize("version", [4, 6])
def test_refusal_names_the_endpoint_that_refused(version: int) -> None:
    datagrams, listening = bound(version), bound(version)
    try:
        first, second = unused_endpoint(version), unused_endpoint(version)
        assert datagrams.send(first, b"?")
        wait(datagrams)
        assert datagrams.send(second, b"?")  # in spite of the first one's error
        assert datagrams.send(listening.endpoint, b"?")
        wait(datagrams)
        assert set(datagrams.refusals()) == {first, second}
        assert list(datagrams.refusals()) == []
        wait(listening)
        assert [data for data, _ in listening.receive()] == [b"?"]
    finally:
        datagrams.close()
        listening.close()


def test_a_pending_error_does_not_hide_a_datagram() -> None:
    datagrams, other = bound(4), bound(4)
    try:
        datagrams.send(unused_endpoint(4), b"?")
        wait(datagrams)
        other.send(datagrams.endpoint, b"answer")
        found: list[bytes] = []
        while not found:
            wait(datagrams)
            found = [data for data, _ in datagrams.receive()]
        assert found == [b"answer"]
    finally:
        datagrams.close()
        other.close()


def test_receive_returns_at_most_one_batch() -> None:
    datagrams, other = bound(4), bound(4)
    try:
        for _ in range(BATCH + 1):
            other.send(datagrams.endpoint, b"x")
        wait(datagrams)
        assert len(list(datagrams.receive())) == BATCH
        assert len(list(datagrams.receive())) == 1
    finally:
        datagrams.close()
        other.close()


def test_port_in_use_is_an_error() -> None:
    datagrams = bound(4)
    try:
        with pytest.raises(OSError, match="in use"):
            Datagrams(datagrams.endpoint)
    finally:
        datagrams.close()
