from __future__ import annotations

from dataclasses import replace
from random import Random

from support.gossip.members import ME, alive, endpoint, member, name_of, sent, stream_message

from metallb_py.protocols.memberlist.codec.envelope import Envelope
from metallb_py.protocols.memberlist.codec.messages import Ack, Kind, Ping, Versions
from metallb_py.protocols.memberlist.events import OpenStream, Reply, StreamId
from metallb_py.protocols.memberlist.settings import FAST
from metallb_py.protocols.memberlist.transmit import CHECKSUM_SINCE, Counters, Packer


def packer(counters: Counters | None = None) -> Packer:
    return Packer(Envelope(), FAST, counters or Counters())


def test_message_carries_queued_broadcasts() -> None:
    made = packer()
    made.broadcast(alive(9))
    packet = made.pack(endpoint(1), Ack(7), member=member(1))
    assert packet.to == endpoint(1)
    assert sent([packet]) == [Ack(7), alive(9)]


def test_broadcast_replaces_an_older_one_about_the_same_member() -> None:
    made = packer()
    made.broadcast(alive(9))
    made.broadcast(alive(9, meta=b"new"))
    assert sent([made.pack(endpoint(1), member=member(1))]) == [alive(9, meta=b"new")]


def test_packet_to_an_unknown_host_carries_no_broadcasts() -> None:
    made = packer()
    made.broadcast(alive(9))
    assert sent(made.pack(endpoint(5), Ack(7)) for _ in range(100)) == [Ack(7)] * 100
    gossip = made.pack_broadcasts(member(1))
    assert gossip is not None
    assert sent([gossip]) == [alive(9)]


def test_message_alone_carries_no_broadcasts() -> None:
    made = packer()
    made.broadcast(alive(9))
    assert sent([made.pack_alone(member(1), alive(ME))]) == [alive(ME)]


def test_gossip_is_broadcasts_alone_and_nothing_without_any() -> None:
    made = packer()
    assert made.pack_broadcasts(member(1)) is None
    made.broadcast(alive(9))
    gossip = made.pack_broadcasts(member(1))
    assert gossip is not None
    assert gossip.to == endpoint(1)
    assert sent([gossip]) == [alive(9)]


def test_packet_size_stays_within_udp_buffer_size() -> None:
    made = packer()
    rng = Random(1)
    for number in range(100):
        made.broadcast(alive(number, meta=rng.randbytes(64)))  # incompressible
    gossip = made.pack_broadcasts(member(1))
    assert gossip is not None
    sizes = [len(made.pack(endpoint(1), Ping(1), member=member(1)).data), len(gossip.data)]
    assert FAST.udp_buffer_size - 400 < min(sizes) <= max(sizes) <= FAST.udp_buffer_size


def test_retransmit_limit_grows_with_the_cluster() -> None:
    made = packer()
    for members, times in ((5, 4), (50, 8), (500, 12)):
        made.resize(members)
        assert made.limit == times


def test_checksum_is_sent_only_to_members_that_support_it() -> None:
    made = packer()
    new, old = Versions(1, CHECKSUM_SINCE, 2), Versions(1, CHECKSUM_SINCE - 1, 2)
    for versions, first in ((new, Kind.CHECKSUM), (old, Kind.ACK), (None, Kind.ACK)):
        to = None if versions is None else replace(member(1), versions=versions)
        assert made.pack(endpoint(1), Ack(1), member=to).data[0] == first


def test_message_of_a_stream_is_packed_for_either_side() -> None:
    made = packer()
    opened = OpenStream(StreamId(2), endpoint(1), made.pack_stream(Ping(1, name_of(1))), 1.0)
    assert stream_message(opened) == Ping(1, name_of(1))
    assert stream_message(Reply(StreamId(3), made.pack_stream(Ack(1), reply=True))) == Ack(1)


def test_messages_are_counted_by_kind_and_taken_once() -> None:
    counters = Counters()
    made = packer(counters)
    made.broadcast(alive(9))
    made.pack(endpoint(1), Ack(7), member=member(1))
    made.pack_stream(Ping(1))
    counters.count(Ping(1))
    received, transmitted, dropped = counters.take()
    assert transmitted == {Kind.ACK: 1, Kind.ALIVE: 1, Kind.PING: 1}
    assert received == {Kind.PING: 1}
    assert not dropped
    assert counters.take() == Counters().take()
