from __future__ import annotations

from dataclasses import replace
from random import Random

from support.gossip_members import Bench, alive, endpoint, member, packets, sent

from metallb_py.protocols.memberlist.codec.codec import encode
from metallb_py.protocols.memberlist.codec.messages import Ack, Kind, Ping, Versions
from metallb_py.protocols.memberlist.events import SendPacket
from metallb_py.protocols.memberlist.settings import FAST
from metallb_py.protocols.memberlist.transmit import CHECKSUM_SINCE, Tally


def test_a_message_takes_rumours_along() -> None:
    bench = Bench(1)
    bench.post.rumours.add("n9", encode(alive(9)))
    bench.post.send(endpoint(1), Ack(7), member=member(1))
    assert packets(bench.taken()) == [(endpoint(1), (Ack(7), alive(9)))]


def test_strangers_use_up_no_rumours() -> None:
    bench = Bench(1)
    bench.post.rumours.add("n9", encode(alive(9)))
    for _ in range(100):
        bench.post.send(endpoint(5), Ack(7))
    assert sent(bench.taken()) == [Ack(7)] * 100
    assert bench.post.gossip(member(1))
    assert sent(bench.taken()) == [alive(9)]


def test_gossip_is_rumours_alone_and_nothing_where_there_are_none() -> None:
    bench = Bench(1)
    assert not bench.post.gossip(member(1))
    bench.post.rumours.add("n9", encode(alive(9)))
    assert bench.post.gossip(member(1))
    assert sent(bench.taken()) == [alive(9)]


def test_a_packet_keeps_to_the_size_that_was_set() -> None:
    bench = Bench(1)
    chance = Random(1)
    for number in range(100):
        rumour = encode(alive(number, meta=chance.randbytes(64)))  # can't be compressed
        bench.post.rumours.add(f"n{number}", rumour)
    bench.post.send(endpoint(1), Ping(1), member=member(1))
    bench.post.gossip(member(1))
    sizes = [len(e.data) for e in bench.effects if isinstance(e, SendPacket)]
    assert len(sizes) == 2
    assert FAST.udp_buffer_size - 400 < min(sizes) <= max(sizes) <= FAST.udp_buffer_size


def test_rumours_are_told_more_often_in_larger_clusters() -> None:
    bench = Bench(1)
    for members, times in ((5, 4), (50, 8), (500, 12)):
        bench.post.resize(members)
        assert bench.post.limit == times


def test_checksums_are_for_those_who_know_them() -> None:
    bench = Bench(1)
    knows, old = Versions(1, CHECKSUM_SINCE, 2), Versions(1, CHECKSUM_SINCE - 1, 2)
    for known, first in ((knows, Kind.CHECKSUM), (old, Kind.ACK), (None, Kind.ACK)):
        who = None if known is None else replace(member(1), versions=known)
        bench.post.send(endpoint(1), Ack(1), member=who)
        (packet,) = bench.taken()
        assert isinstance(packet, SendPacket)
        assert packet.data[0] == first


def test_what_went_by_is_counted_by_message_and_once() -> None:
    bench = Bench(1)
    bench.post.rumours.add("n9", encode(alive(9)))
    bench.post.send(endpoint(1), Ack(7), member=member(1))
    bench.tally.count(Ping(1))
    received, told, dropped = bench.tally.take()
    assert told == {Kind.ACK: 1, Kind.ALIVE: 1}
    assert received == {Kind.PING: 1}
    assert not dropped
    assert bench.tally.take() == Tally().take()
