"""BFD: nobody's bytes surprise the codec, and two sides agree whatever a network does."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from itertools import count
from random import Random

from hypothesis import given
from hypothesis import settings as limited
from hypothesis import strategies as st

from metallb_py.protocols.bfd.packet import BfdError, ControlPacket, State, decode, encode
from metallb_py.protocols.bfd.sessions import Arrival, Sessions
from metallb_py.protocols.bfd.settings import (
    Path,
    SendControl,
    SessionDown,
    SessionUp,
    Settings,
)

u32 = st.integers(0, 0xFFFFFFFF)
discriminators = st.integers(1, 0xFFFFFFFF)
packets = st.builds(
    ControlPacket,
    st.sampled_from(State),
    discriminators,
    discriminators,
    st.integers(1, 255),
    u32,
    u32,
    u32,
    st.integers(0, 31),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
intervals = st.integers(20, 1000).map(lambda milliseconds: milliseconds * 1000)
settings = st.builds(Settings, intervals, intervals, st.integers(2, 5))

A, B = ip_address("10.0.0.1"), ip_address("10.0.0.2")


@given(packets)
def test_what_is_written_can_be_read(packet: ControlPacket) -> None:
    assert decode(encode(packet)) == packet


@given(st.binary(max_size=40) | packets.map(encode).flatmap(
    lambda good: st.tuples(st.integers(0, 23), st.integers(0, 255)).map(
        lambda change: good[: change[0]] + bytes([change[1]]) + good[change[0] + 1 :]
    )
))  # fmt: skip
def test_any_bytes_are_a_packet_or_the_one_error(data: bytes) -> None:
    try:
        packet = decode(data)
    except BfdError:
        return
    assert decode(encode(packet)) == packet


@given(st.lists(st.tuples(packets, st.floats(0, 2)), max_size=30), settings)
def test_a_session_survives_whatever_it_hears(
    heard: list[tuple[ControlPacket, float]], tuned: Settings
) -> None:
    sessions = Sessions(Random(1).random)
    (first,) = sessions.configure({Path(B): tuned}, 0.0)
    assert isinstance(first, SendControl)
    ours, now = decode(first.data).my_discriminator, 0.0
    for packet, passed in heard:
        now += passed
        for_us = replace(packet, your_discriminator=ours)
        sessions.receive(encode(for_us), Arrival(B, A, 255), now)
        sessions.handle_timeout(now)
        deadline = sessions.next_deadline()
        assert deadline is None or deadline > now - 1e-9


@dataclass
class Side:
    """One end of the network."""

    sessions: Sessions
    here: object
    path: Path
    settings: Settings
    up: bool = False
    changed: float = 0.0


@dataclass
class Network:
    """Two sides, and a delay of 1 ms between them; ``passes`` loses packets."""

    sides: tuple[Side, Side]
    passes: Callable[[Side], bool]
    now: float = 0.0
    _flying: list[tuple[float, int, Side, bytes]] = field(default_factory=list)
    _order: count = field(default_factory=count)

    def start(self) -> None:
        for side in self.sides:
            self._perform(side, side.sessions.configure({side.path: side.settings}, self.now))

    def run(self, until: float) -> None:
        while (at := self._next()) <= until:
            self.now = at
            while self._flying and self._flying[0][0] <= at:
                _, _, to, data = heapq.heappop(self._flying)
                arrival = Arrival(to.path.peer, to.here, 255)
                self._perform(to, to.sessions.receive(data, arrival, at))
            for side in self.sides:
                self._perform(side, side.sessions.handle_timeout(at))
        self.now = until

    def _next(self) -> float:
        deadlines = [side.sessions.next_deadline() for side in self.sides]
        times = [at for at in deadlines if at is not None]
        return max(self.now, min(times + [flight[0] for flight in self._flying[:1]]))

    def _perform(self, side: Side, effects: tuple) -> None:
        other = self.sides[0] if side is self.sides[1] else self.sides[1]
        for effect in effects:
            match effect:
                case SendControl(_, data):
                    if self.passes(side):
                        flight = (self.now + 0.001, next(self._order), other, data)
                        heapq.heappush(self._flying, flight)
                case SessionUp():
                    side.up, side.changed = True, self.now
                case SessionDown():
                    side.up, side.changed = False, self.now


def network(one: Settings, other: Settings, seed: int) -> Network:
    chance = Random(seed)
    sides = tuple(
        Side(Sessions(chance.random), here, Path(there), tuned)
        for here, there, tuned in ((A, B, one), (B, A, other))
    )
    return Network(sides, lambda _: True)


@limited(max_examples=30)
@given(settings, settings, u32, st.floats(0, 0.5))
def test_both_come_up_through_a_lossy_network(
    one: Settings, other: Settings, seed: int, loss: float
) -> None:
    net, chance = network(one, other, seed), Random(seed)
    net.passes = lambda _: chance.random() >= loss
    net.start()
    for second in range(1, 120):
        net.run(second)
        if all(side.up for side in net.sides):
            break
    net.passes = lambda _: True
    net.run(net.now + 30)

    assert all(side.up for side in net.sides)


@limited(max_examples=30)
@given(settings, settings, u32, st.sampled_from([0, 1]))
def test_loss_in_one_direction_brings_both_down_in_time(
    one: Settings, other: Settings, seed: int, mute: int
) -> None:
    net = network(one, other, seed)
    net.start()
    net.run(20)
    assert all(side.up for side in net.sides)
    net.passes = lambda side: side is not net.sides[mute]
    net.run(40)

    deaf = net.sides[1 - mute]
    slower = max(deaf.settings.receive_interval, net.sides[mute].settings.transmit_interval)
    limit = net.sides[mute].settings.detect_multiplier * slower / 1e6
    assert not any(side.up for side in net.sides)
    assert 20 < deaf.changed <= 20 + limit + 0.002
    assert net.sides[mute].changed <= deaf.changed + 0.002


@limited(max_examples=30)
@given(settings, settings, settings, u32)
def test_new_timers_reach_the_other_side_without_a_fall(
    one: Settings, other: Settings, changed: Settings, seed: int
) -> None:
    net = network(one, other, seed)
    net.start()
    net.run(20)
    side = net.sides[0]
    net._perform(side, side.sessions.configure({side.path: changed}, net.now))
    net.run(60)

    assert all(side.up and side.changed < 20 for side in net.sides)
