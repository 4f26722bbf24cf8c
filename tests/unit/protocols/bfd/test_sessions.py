"""Which session a packet is for, and which packets are nobody's."""

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
NEAR, FAR = Path(PEER), Path(OTHER, LOCAL, multihop=True)
ARRIVAL = Arrival(PEER, LOCAL, 255)
FROM_AFAR = Arrival(OTHER, LOCAL, 254, multihop=True)
PACKET = ControlPacket(State.DOWN, 99, 0, 3, 1_000_000, 50_000)
SETTINGS = Settings(50_000, 50_000, 3)


def having(*paths: Path, settings: Settings = SETTINGS) -> Sessions:
    numbers = count(1)
    sessions = Sessions(lambda: next(numbers) / 1000)
    sessions.configure(dict.fromkeys(paths, settings), 0.0)
    return sessions


def heard(sessions: Sessions) -> list[Path]:
    return [path for path, counts in sessions.counts.items() if counts.control_in]


def discriminator(sessions: Sessions, packet: ControlPacket, arrival: Arrival) -> int:
    """Return what the session that answers a first packet calls itself."""
    (effect,) = sessions.receive(encode(packet), arrival, 0.1)
    assert isinstance(effect, SendControl)
    return decode(effect.data).my_discriminator


@pytest.mark.parametrize(("arrival", "path"), [(ARRIVAL, NEAR), (FROM_AFAR, FAR)])
def test_a_first_packet_finds_its_session_by_address(arrival: Arrival, path: Path) -> None:
    sessions = having(NEAR, FAR)
    sessions.receive(encode(PACKET), arrival, 0.1)

    assert heard(sessions) == [path]
    assert sessions.discarded == 0


def test_two_sessions_with_one_router_are_told_apart_by_the_local_address() -> None:
    one, two = Path(PEER, LOCAL), Path(PEER, OTHER)
    sessions = having(one, two)
    sessions.receive(encode(PACKET), replace(ARRIVAL, destination=OTHER), 0.1)

    assert heard(sessions) == [two]


def test_later_packets_find_it_by_our_discriminator() -> None:
    sessions = having(NEAR)
    ours = discriminator(sessions, PACKET, ARRIVAL)
    up = replace(PACKET, state=State.UP, your_discriminator=ours)

    assert sessions.receive(encode(up), ARRIVAL, 0.2) != ()
    assert sessions.counts[NEAR].ups == 1


@pytest.mark.parametrize(
    "arrival",
    [
        replace(ARRIVAL, ttl=254),  # RFC 5881 section 5
        replace(ARRIVAL, source=OTHER),
        replace(ARRIVAL, source=V6),
        replace(ARRIVAL, multihop=True),
        replace(FROM_AFAR, ttl=253),  # the minimum is 254
        replace(FROM_AFAR, destination=PEER),
        replace(FROM_AFAR, multihop=False, ttl=255),
    ],
)
def test_what_comes_from_elsewhere_is_discarded(arrival: Arrival) -> None:
    sessions = having(NEAR, FAR)

    assert sessions.receive(encode(PACKET), arrival, 0.1) == ()
    assert sessions.discarded == 1


def test_a_guessed_discriminator_is_not_enough() -> None:
    sessions = having(NEAR, FAR)
    ours = discriminator(sessions, PACKET, ARRIVAL)
    forged = replace(PACKET, your_discriminator=ours)

    assert sessions.receive(encode(forged), FROM_AFAR, 0.2) == ()
    assert sessions.receive(encode(replace(forged, your_discriminator=7)), ARRIVAL, 0.2) == ()
    assert sessions.discarded == 2


def test_a_lower_minimum_ttl_lets_packets_come_from_further_away() -> None:
    sessions = having(FAR, settings=replace(SETTINGS, minimum_ttl=250))
    sessions.receive(encode(PACKET), replace(FROM_AFAR, ttl=250), 0.1)

    assert heard(sessions) == [FAR]


def test_what_is_no_packet_is_discarded() -> None:
    sessions = having(NEAR)

    assert sessions.receive(b"no packet", ARRIVAL, 0.1) == ()
    assert sessions.discarded == 1


def test_discriminators_are_never_zero_and_never_twice() -> None:
    draws = iter([0.0, 0.5, 0.0, 0.5, 0.25, 0.5])
    sessions = Sessions(lambda: next(draws))
    effects = sessions.configure({NEAR: SETTINGS, FAR: SETTINGS}, 0.0)
    numbers = [decode(e.data).my_discriminator for e in effects if isinstance(e, SendControl)]

    assert len(set(numbers)) == 2
    assert 0 not in numbers


def test_a_reload_disturbs_only_what_it_changes() -> None:
    sessions = having(NEAR, FAR)
    ours = discriminator(sessions, PACKET, ARRIVAL)
    up = encode(replace(PACKET, state=State.UP, your_discriminator=ours))
    sessions.receive(up, ARRIVAL, 0.2)
    slower = replace(SETTINGS, detect_multiplier=5)

    assert sessions.configure({NEAR: SETTINGS, FAR: SETTINGS}, 0.2) == ()
    effects = sessions.configure({NEAR: slower}, 0.2)
    assert {(e.path, decode(e.data).state) for e in effects if isinstance(e, SendControl)} == {
        (FAR, State.ADMIN_DOWN)
    }
    assert set(sessions.counts) == {NEAR}
    (packet,) = sessions.handle_timeout(0.3)
    assert isinstance(packet, SendControl)
    assert decode(packet.data).state is State.UP
    assert decode(packet.data).detect_multiplier == 5


def test_the_next_deadline_is_the_first_of_all() -> None:
    assert Sessions(lambda: 0.0).next_deadline() is None
    sessions = having(NEAR)
    sessions.configure({NEAR: SETTINGS, FAR: SETTINGS}, 0.5)

    assert 0.75 <= (sessions.next_deadline() or 0.0) <= 1.0


ECHO = replace(SETTINGS, echo=True)


def test_an_echo_of_a_peer_that_may_send_some_is_returned() -> None:
    sessions = having(NEAR, settings=ECHO)

    assert sessions.receive_echo(b"echo", ARRIVAL) == (ReturnEcho(NEAR, b"echo"),)
    assert (sessions.counts[NEAR].echo_in, sessions.counts[NEAR].echo_out) == (1, 1)


@pytest.mark.parametrize(
    ("arrival", "settings"),
    [
        (replace(ARRIVAL, ttl=254), ECHO),  # it was returned once
        (replace(ARRIVAL, source=OTHER), ECHO),
        (ARRIVAL, SETTINGS),
    ],
)
def test_other_echoes_are_not(arrival: Arrival, settings: Settings) -> None:
    sessions = having(NEAR, settings=settings)

    assert sessions.receive_echo(b"echo", arrival) == ()
    assert sessions.discarded == 1
