"""Demultiplexing of packets to BFD sessions (RFC 5880 section 6.8.6), and discarded packets."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from itertools import count

import pytest

from metallb_py.protocols.bfd.packet import ControlPacket, State, decode, encode
from metallb_py.protocols.bfd.sessions import Arrival, Sessions
from metallb_py.protocols.bfd.settings import Path, ReturnEcho, SendControl, Settings

PEER, OTHER, LOCAL = (ip_address(f"10.0.0.{number}") for number in (2, 3, 1))
V6 = ip_address("fd00::2")
SINGLE_HOP, MULTIHOP = Path(PEER), Path(OTHER, LOCAL, multihop=True)
ARRIVAL = Arrival(PEER, LOCAL, 255)
MULTIHOP_ARRIVAL = Arrival(OTHER, LOCAL, 254, multihop=True)
PACKET = ControlPacket(State.DOWN, 99, 0, 3, 1_000_000, 50_000)
SETTINGS = Settings(50_000, 50_000, 3)


def configured(*paths: Path, settings: Settings = SETTINGS) -> Sessions:
    numbers = count(1)
    sessions = Sessions(lambda: next(numbers) / 1000)
    sessions.configure(dict.fromkeys(paths, settings), 0.0)
    return sessions


def receivers(sessions: Sessions) -> list[Path]:
    return [path for path, counts in sessions.counts.items() if counts.control_in]


def discriminator(sessions: Sessions, packet: ControlPacket, arrival: Arrival) -> int:
    """Return the local discriminator of the session that answers a first packet."""
    (effect,) = sessions.receive(encode(packet), arrival, 0.1)
    assert isinstance(effect, SendControl)
    return decode(effect.data).my_discriminator


@pytest.mark.parametrize(("arrival", "path"), [(ARRIVAL, SINGLE_HOP), (MULTIHOP_ARRIVAL, MULTIHOP)])
def test_first_packet_is_demultiplexed_by_address(arrival: Arrival, path: Path) -> None:
    sessions = configured(SINGLE_HOP, MULTIHOP)
    sessions.receive(encode(PACKET), arrival, 0.1)

    assert receivers(sessions) == [path]
    assert sessions.discarded == 0


def test_two_sessions_with_one_peer_are_demultiplexed_by_local_address() -> None:
    one, two = Path(PEER, LOCAL), Path(PEER, OTHER)
    sessions = configured(one, two)
    sessions.receive(encode(PACKET), replace(ARRIVAL, destination=OTHER), 0.1)

    assert receivers(sessions) == [two]


def test_later_packets_are_demultiplexed_by_your_discriminator() -> None:
    sessions = configured(SINGLE_HOP)
    ours = discriminator(sessions, PACKET, ARRIVAL)
    up = replace(PACKET, state=State.UP, your_discriminator=ours)

    assert sessions.receive(encode(up), ARRIVAL, 0.2) != ()
    assert sessions.counts[SINGLE_HOP].ups == 1


@pytest.mark.parametrize(
    "arrival",
    [
        replace(ARRIVAL, ttl=254),  # RFC 5881 section 5
        replace(ARRIVAL, source=OTHER),
        replace(ARRIVAL, source=V6),
        replace(ARRIVAL, multihop=True),
        replace(MULTIHOP_ARRIVAL, ttl=253),  # the minimum is 254
        replace(MULTIHOP_ARRIVAL, destination=PEER),
        replace(MULTIHOP_ARRIVAL, multihop=False, ttl=255),
    ],
)
def test_packet_with_wrong_ttl_or_addresses_is_discarded(arrival: Arrival) -> None:
    sessions = configured(SINGLE_HOP, MULTIHOP)

    assert sessions.receive(encode(PACKET), arrival, 0.1) == ()
    assert sessions.discarded == 1


def test_your_discriminator_must_match_the_source_of_its_session() -> None:
    sessions = configured(SINGLE_HOP, MULTIHOP)
    ours = discriminator(sessions, PACKET, ARRIVAL)
    forged = replace(PACKET, your_discriminator=ours)

    assert sessions.receive(encode(forged), MULTIHOP_ARRIVAL, 0.2) == ()
    assert sessions.receive(encode(replace(forged, your_discriminator=7)), ARRIVAL, 0.2) == ()
    assert sessions.discarded == 2


def test_lower_minimum_ttl_accepts_packets_over_more_hops() -> None:
    sessions = configured(MULTIHOP, settings=replace(SETTINGS, minimum_ttl=250))
    sessions.receive(encode(PACKET), replace(MULTIHOP_ARRIVAL, ttl=250), 0.1)

    assert receivers(sessions) == [MULTIHOP]


def test_malformed_packet_is_discarded() -> None:
    sessions = configured(SINGLE_HOP)

    assert sessions.receive(b"no packet", ARRIVAL, 0.1) == ()
    assert sessions.discarded == 1


def test_local_discriminators_are_nonzero_and_unique() -> None:
    draws = iter([0.0, 0.5, 0.0, 0.5, 0.25, 0.5])
    sessions = Sessions(lambda: next(draws))
    effects = sessions.configure({SINGLE_HOP: SETTINGS, MULTIHOP: SETTINGS}, 0.0)
    numbers = [decode(e.data).my_discriminator for e in effects if isinstance(e, SendControl)]

    assert len(set(numbers)) == 2
    assert 0 not in numbers


def test_reconfiguration_affects_only_changed_sessions() -> None:
    sessions = configured(SINGLE_HOP, MULTIHOP)
    ours = discriminator(sessions, PACKET, ARRIVAL)
    up = encode(replace(PACKET, state=State.UP, your_discriminator=ours))
    sessions.receive(up, ARRIVAL, 0.2)
    slower = replace(SETTINGS, detect_multiplier=5)

    assert sessions.configure({SINGLE_HOP: SETTINGS, MULTIHOP: SETTINGS}, 0.2) == ()
    effects = sessions.configure({SINGLE_HOP: slower}, 0.2)
    assert {(e.path, decode(e.data).state) for e in effects if isinstance(e, SendControl)} == {
        (MULTIHOP, State.ADMIN_DOWN)
    }
    assert set(sessions.counts) == {SINGLE_HOP}
    (packet,) = sessions.handle_timeout(0.3)
    assert isinstance(packet, SendControl)
    assert decode(packet.data).state is State.UP
    assert decode(packet.data).detect_multiplier == 5


def test_next_deadline_is_the_earliest_of_all_sessions() -> None:
    assert Sessions(lambda: 0.0).next_deadline() is None
    sessions = configured(SINGLE_HOP)
    sessions.configure({SINGLE_HOP: SETTINGS, MULTIHOP: SETTINGS}, 0.5)

    assert 0.75 <= (sessions.next_deadline() or 0.0) <= 1.0


ECHO = replace(SETTINGS, echo=True)


def test_echo_packet_of_a_peer_with_echo_enabled_is_returned() -> None:
    sessions = configured(SINGLE_HOP, settings=ECHO)

    assert sessions.receive_echo(b"echo", ARRIVAL) == (ReturnEcho(SINGLE_HOP, b"echo"),)
    assert (sessions.counts[SINGLE_HOP].echo_in, sessions.counts[SINGLE_HOP].echo_out) == (1, 1)


@pytest.mark.parametrize(
    ("arrival", "settings"),
    [
        (replace(ARRIVAL, ttl=254), ECHO),  # already returned once
        (replace(ARRIVAL, source=OTHER), ECHO),
        (ARRIVAL, SETTINGS),
    ],
)
def test_other_echo_packets_are_discarded(arrival: Arrival, settings: Settings) -> None:
    sessions = configured(SINGLE_HOP, settings=settings)

    assert sessions.receive_echo(b"echo", arrival) == ()
    assert sessions.discarded == 1
