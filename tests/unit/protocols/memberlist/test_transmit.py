from __future__ import annotations

from dataclasses import replace
from random import Random

from support.gossip.members import Bench, alive, endpoint, member, packets, sent

from metallb_py.protocols.memberlist.codec.encode import encode
from metallb_py.protocols.memberlist.codec.messages import Ack, Kind, Ping, Versions
from metallb_py.protocols.memberlist.events import SendPacket
from metallb_py.protocols.memberlist.settings import FAST
from metallb_py.protocols.memberlist.transmit import CHECKSUM_SINCE, Counters


def test_message_carries_queued_broadcasts() -> None:
    bench = Bench(1)
    bench.sender.broadcasts.add("n9", encode(alive(9)))
    bench.sender.send(endpoint(1), Ack(7), member=member(1))
    assert packets(bench.taken()) == [(endpoint(1), (Ack(7), alive(9)))]


def test_packet_to_an_unknown_host_carries_no_broadcasts() -> None:
    bench = Bench(1)
    bench.sender.broadcasts.add("n9", encode(alive(9)))
    for _ in range(100):
        bench.sender.send(endpoint(5), Ack(7))
    assert sent(bench.taken()) == [Ack(7)] * 100
    assert bench.sender.gossip(member(1))
    assert sent(bench.taken()) == [alive(9)]


def test_gossip_sends_broadcasts_alone_and_nothing_without_any() -> None:
    bench = Bench(1)
    assert not bench.sender.gossip(member(1))
    bench.sender.broadcasts.add("n9", encode(alive(9)))
    assert bench.sender.gossip(member(1))
    assert sent(bench.taken()) == [alive(9)]


def test_packet_size_stays_within_udp_buffer_size() -> None:
    bench = Bench(1)
    rng = Random(1)
    for number in range(100):
        message = encode(alive(number, meta=rng.randbytes(64)))  # incompressible
        bench.sender.broadcasts.add(f"n{number}", message)
    bench.sender.send(endpoint(1), Ping(1), member=member(1))
    bench.sender.gossip(member(1))
    sizes = [len(e.data) for e in bench.effects if isinstance(e, SendPacket)]
    assert len(sizes) == 2
    assert FAST.udp_buffer_size - 400 < min(sizes) <= max(sizes) <= FAST.udp_buffer_size


def test_retransmit_limit_grows_with_the_cluster() -> None:
    bench = Bench(1)
    for members, times in ((5, 4), (50, 8), (500, 12)):
        bench.sender.resize(members)
        assert bench.sender.limit == times


def test_checksum_is_sent_only_to_members_that_support_it() -> None:
    bench = Bench(1)
    new, old = Versions(1, CHECKSUM_SINCE, 2), Versions(1, CHECKSUM_SINCE - 1, 2)
    for versions, first in ((new, Kind.CHECKSUM), (old, Kind.ACK), (None, Kind.ACK)):
        to = None if versions is None else replace(member(1), versions=versions)
        bench.sender.send(endpoint(1), Ack(1), member=to)
        (packet,) = bench.taken()
        assert isinstance(packet, SendPacket)
        assert packet.data[0] == first


def test_messages_are_counted_by_kind_and_taken_once() -> None:
    bench = Bench(1)
    bench.sender.broadcasts.add("n9", encode(alive(9)))
    bench.sender.send(endpoint(1), Ack(7), member=member(1))
    bench.counters.count(Ping(1))
    received, transmitted, dropped = bench.counters.take()
    assert transmitted == {Kind.ACK: 1, Kind.ALIVE: 1}
    assert received == {Kind.PING: 1}
    assert not dropped
    assert bench.counters.take() == Counters().take()
