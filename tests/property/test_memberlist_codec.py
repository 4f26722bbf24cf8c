"""Fuzzing of the memberlist codec: messages round-trip, other input is dropped with a reason.

``METALLB_PY_FUZZ_PACKETS=1000000`` takes some minutes; ``METALLB_PY_FUZZ_SEED`` repeats a run.
"""

from __future__ import annotations

import gc
import os
import time
import tracemalloc
from collections import Counter
from contextlib import suppress
from ipaddress import IPv6Address
from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from support.gossip.packet_fuzz import Fuzzer

from metallb_py.protocols.memberlist.codec.decode import decode
from metallb_py.protocols.memberlist.codec.encode import encode
from metallb_py.protocols.memberlist.codec.envelope import (
    Drop,
    Envelope,
    EnvelopeError,
    StreamReader,
    Unpacked,
)
from metallb_py.protocols.memberlist.codec.keyring import Keyring
from metallb_py.protocols.memberlist.codec.lzw import LzwError, compress, decompress
from metallb_py.protocols.memberlist.codec.messages import (
    META_LIMIT,
    Ack,
    Alive,
    Dead,
    Endpoint,
    IndirectPing,
    Message,
    Nack,
    NodeState,
    Ping,
    PushPull,
    RemoteError,
    State,
    Suspect,
    User,
    Versions,
)
from metallb_py.protocols.memberlist.codec.msgpack_fields import DecodeError

PACKETS = int(os.environ.get("METALLB_PY_FUZZ_PACKETS", "20000"))
SEED = int(os.environ.get("METALLB_PY_FUZZ_SEED", time.time_ns()))
LIMIT = 20_000
KEYRING = Keyring((b"k" * 32,))

U32 = st.integers(0, 0xFFFFFFFF)
NAMES = st.text(min_size=1, max_size=63)
ANY_NAMES = st.text(max_size=63)
ADDRESSES = st.ip_addresses(v=4) | st.ip_addresses(v=6).filter(
    lambda address: isinstance(address, IPv6Address) and address.ipv4_mapped is None
)
ENDPOINTS = st.builds(Endpoint, ADDRESSES, st.integers(0, 0xFFFF))
SOURCES = st.none() | st.builds(Endpoint, ADDRESSES, st.integers(1, 0xFFFF))
VERSIONS = st.builds(Versions, *[st.integers(0, 255)] * 6)
META = st.binary(max_size=META_LIMIT)
STATES = st.builds(NodeState, NAMES, ENDPOINTS, U32, st.sampled_from(State), META, VERSIONS)
IN_DATAGRAMS: st.SearchStrategy[Message] = st.one_of(
    st.builds(Ping, U32, ANY_NAMES, SOURCES, ANY_NAMES),
    st.builds(IndirectPing, U32, ENDPOINTS, ANY_NAMES, st.booleans(), SOURCES, ANY_NAMES),
    st.builds(Ack, U32, st.binary(max_size=300)),
    st.builds(Nack, U32),
    st.builds(Suspect, U32, NAMES, ANY_NAMES),
    st.builds(Alive, U32, NAMES, ENDPOINTS, META, VERSIONS),
    st.builds(Dead, U32, NAMES, ANY_NAMES),
    st.builds(User, st.binary(max_size=300)),
)
PUSH_PULLS = st.builds(
    PushPull, st.lists(STATES, max_size=5).map(tuple), st.booleans(), st.binary(max_size=300)
)
IN_STREAMS: st.SearchStrategy[Message] = st.one_of(
    PUSH_PULLS,
    st.builds(Ping, U32, ANY_NAMES, SOURCES, ANY_NAMES),
    st.builds(Ack, U32, st.binary(max_size=300)),
    st.builds(RemoteError, st.text(max_size=100)),
)
ENVELOPES = st.builds(
    Envelope,
    label=st.text(max_size=20),
    keyring=st.none() | st.just(KEYRING),
    compression=st.booleans(),
    nonce=st.just(lambda: bytes(12)),
)


@given(IN_DATAGRAMS | IN_STREAMS)
def test_encoded_message_decodes_to_itself(message: Message) -> None:
    assert decode(encode(message)) == message


@given(ENVELOPES, st.lists(IN_DATAGRAMS, min_size=1, max_size=9), st.booleans())
def test_packed_datagram_unpacks_to_its_messages(
    envelope: Envelope, messages: list[Message], checksum: bool
) -> None:
    parts = [encode(message) for message in messages]
    datagram = envelope.pack(parts, checksum)
    assert len(datagram) <= sum(map(len, parts)) + 2 * len(parts) + envelope.overhead
    assert envelope.unpack(datagram) == Unpacked(tuple(messages))


@given(ENVELOPES, IN_STREAMS, st.booleans(), st.lists(st.integers(0, 2000), max_size=20))
def test_any_split_of_a_stream_gives_the_same_message(
    envelope: Envelope, message: Message, reply: bool, cuts: list[int]
) -> None:
    data = envelope.pack_stream(encode(message), reply=reply)
    bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[a:b] for a, b in pairwise(bounds) if a < b]
    reader = StreamReader(envelope, LIMIT, reply=reply)
    *before, last = [reader.feed(piece) for piece in pieces]
    assert set(before) <= {None}
    assert last == message


@given(st.binary(max_size=500))
def test_any_bytes_decode_or_raise_decode_error(data: bytes) -> None:
    try:
        message = decode(data)
    except DecodeError:
        return
    assert decode(encode(message)) == message


@given(st.binary(max_size=3000))
def test_lzw_round_trips(data: bytes) -> None:
    assert decompress(compress(data), len(data)) == data


@given(st.binary(max_size=300), st.integers(0, 1000))
def test_any_bytes_decompress_or_raise_lzw_error(data: bytes, limit: int) -> None:
    with suppress(LzwError):
        assert len(decompress(data, limit)) <= limit


def unpack(fuzzer: Fuzzer, count: int) -> Counter[Drop | None]:
    """Unpack ``count`` datagrams; return the number dropped by reason, and (None) unpacked."""
    seen: Counter[Drop | None] = Counter()
    for turn in range(count):
        envelope = (fuzzer.plain, fuzzer.sealed)[turn % 2]
        try:
            unpacked = envelope.unpack(fuzzer.datagram(envelope))
        except EnvelopeError as error:
            seen[error.reason] += 1
            continue
        seen[None] += 1
        for message in unpacked.messages:
            assert decode(encode(message)) == message
    return seen


def read(fuzzer: Fuzzer, count: int) -> Counter[Drop | None]:
    """Read ``count`` streams; return counts as ``unpack`` does, without those that end early."""
    seen: Counter[Drop | None] = Counter()
    for turn in range(count):
        envelope = (fuzzer.plain, fuzzer.sealed)[turn % 2]
        reader = StreamReader(envelope, LIMIT)
        try:
            if any(reader.feed(piece) for piece in fuzzer.stream(envelope)):
                seen[None] += 1
        except EnvelopeError as error:
            seen[error.reason] += 1
    return seen


def test_fuzzed_packets_and_streams_leave_memory_bounded() -> None:
    print(f"METALLB_PY_FUZZ_SEED={SEED}")
    fuzzer = Fuzzer(Random(SEED))
    unpack(fuzzer, 2000)
    read(fuzzer, 200)
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        datagrams = unpack(fuzzer, PACKETS * 9 // 10)
        streams = read(fuzzer, PACKETS // 10)
        gc.collect()
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    print(datagrams, streams)
    # Both valid and invalid input must have occurred.
    assert PACKETS * 0.2 < datagrams[None] < PACKETS * 0.8
    assert PACKETS * 0.02 < streams[None] < PACKETS * 0.08
    assert datagrams.keys() >= set(Drop) - {Drop.CONFLICT, Drop.LIMITED}
    assert streams.keys() >= set(Drop) - {
        Drop.CONFLICT,
        Drop.LIMITED,
        Drop.REPLAYED,
        Drop.CHECKSUM,
    }
    # The nonces of 4,096 datagrams are remembered.
    assert after - before < 1_000_000
    assert peak - before < 2_000_000
