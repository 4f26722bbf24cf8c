"""BFD: the codec raises only its documented error, and two sides agree over any network."""

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
def test_control_packet_round_trips(packet: ControlPacket) -> None:
    assert decode(encode(packet)) == packet


@given(st.binary(max_size=40) | packets.map(encode).flatmap(
    lambda good: st.tuples(st.integers(0, 23), st.integers(0, 255)).map(
        lambda change: good[: change[0]] + bytes([change[1]]) + good[change[0] + 1 :]
    )
))  # fmt: skip
def test_any_bytes_decode_or_raise_bfd_error(data: bytes) -> None:
    try:
        packet = decode(data)
    except BfdError:
        return
    assert decode(encode(packet)) == packet


@given(st.lists(st.tuples(packets, st.floats(0, 2)), max_size=30), settings)
def test_session_handles_any_sequence_of_packets(
    received: list[tuple[ControlPacket, float]], configured: Settings
) -> None:
    sessions = Sessions(Random(1).random)
    (first,) = sessions.configure({Path(B): configured}, 0.0)
    assert isinstance(first, SendControl)
    ours, now = decode(first.data).my_discriminator, 0.0
    for packet, passed in received:
        now += passed
        for_us = replace(packet, your_discriminator=ours)
        sessions.receive(encode(for_us), Arrival(B, A, 255), now)
        sessions.handle_timeout(now)
        deadline = sessions.next_deadline()
        assert deadline is None or deadline > now - 1e-9


@dataclass
class Side:
    """One end of a BFD session."""

    sessions: Sessions
    here: object
    path: Path
    settings: Settings
    up: bool = False
    changed: float = 0.0


@dataclass
class Network:
    """Two sides, and a delay of 1 ms between them; ``passes`` decides whether a packet arrives."""

    sides: tuple[Side, Side]
    passes: Callable[[Side], bool]
    now: float = 0.0
    _in_transit: list[tuple[float, int, Side, bytes]] = field(default_factory=list)
    _order: count = field(default_factory=count)

    def start(self) -> None:
        for side in self.sides:
            self._perform(side, side.sessions.configure({side.path: side.settings}, self.now))

    def run(self, until: float) -> None:
        while (at := self._next()) <= until:
            self.now = at
            while self._in_transit and self._in_transit[0][0] <= at:
                _, _, to, data = heapq.heappop(self._in_transit)
                arrival = Arrival(to.path.peer, to.here, 255)
                self._perform(to, to.sessions.receive(data, arrival, at))
            for side in self.sides:
                self._perform(side, side.sessions.handle_timeout(at))
        self.now = until

    def _next(self) -> float:
        deadlines = [side.sessions.next_deadline() for side in self.sides]
        times = [at for at in deadlines if at is not None]
        return max(
            self.now,
            min(times + [packet_in_transit[0] for packet_in_transit in self._in_transit[:1]]),
        )

    def _perform(self, side: Side, effects: tuple) -> None:
        other = self.sides[0] if side is self.sides[1] else self.sides[1]
        for effect in effects:
            match effect:
                case SendControl(_, data):
                    if self.passes(side):
                        packet_in_transit = (self.now + 0.001, next(self._order), other, data)
                        heapq.heappush(self._in_transit, packet_in_transit)
                case SessionUp():
                    side.up, side.changed = True, self.now
                case SessionDown():
                    side.up, side.changed = False, self.now


def network(one: Settings, other: Settings, seed: int) -> Network:
    rng = Random(seed)
    sides = tuple(
        Side(Sessions(rng.random), here, Path(there), configured)
        for here, there, configured in ((A, B, one), (B, A, other))
    )
    return Network(sides, lambda _: True)


@limited(max_examples=30)
@given(settings, settings, u32, st.floats(0, 0.5))
def test_both_sides_go_up_over_a_lossy_network(
    one: Settings, other: Settings, seed: int, loss: float
) -> None:
    net, rng = network(one, other, seed), Random(seed)
    net.passes = lambda _: rng.random() >= loss
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
def test_loss_in_one_direction_takes_both_sides_down_in_time(
    one: Settings, other: Settings, seed: int, silent_side: int
) -> None:
    net = network(one, other, seed)
    net.start()
    net.run(20)
    assert all(side.up for side in net.sides)
    net.passes = lambda side: side is not net.sides[silent_side]
    net.run(40)

    receiver = net.sides[1 - silent_side]
    slower = max(
        receiver.settings.receive_interval, net.sides[silent_side].settings.transmit_interval
    )
    limit = net.sides[silent_side].settings.detect_multiplier * slower / 1e6
    assert not any(side.up for side in net.sides)
    assert 20 < receiver.changed <= 20 + limit + 0.002
    assert net.sides[silent_side].changed <= receiver.changed + 0.002


@limited(max_examples=30)
@given(settings, settings, settings, u32)
def test_changed_intervals_do_not_take_the_session_down(
    one: Settings, other: Settings, changed: Settings, seed: int
) -> None:
    net = network(one, other, seed)
    net.start()
    net.run(20)
    side = net.sides[0]
    net._perform(side, side.sessions.configure({side.path: changed}, net.now))
    net.run(60)

    assert all(side.up and side.changed < 20 for side in net.sides)
