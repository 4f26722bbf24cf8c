"""The BGP codec: what we write we can read, and nobody's bytes surprise it."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from metallb_py.protocols.bgp.attributes import AsSegment, Origin, PathAttributes, SegmentKind
from metallb_py.protocols.bgp.capabilities import (
    FourOctetAsn,
    Multiprotocol,
    OtherCapability,
    RouteRefresh,
)
from metallb_py.protocols.bgp.codes import AddressFamily, BgpError, ErrorCode, MessageType
from metallb_py.protocols.bgp.framing import MAX_LENGTH, Frame, FrameReader, frame
from metallb_py.protocols.bgp.messages import (
    Keepalive,
    Message,
    Notification,
    Open,
    RouteRefreshRequest,
    decode,
    encode,
)
from metallb_py.protocols.bgp.update import (
    Reach,
    Update,
    pack_announcements,
    pack_withdrawals,
)

u8 = st.integers(0, 0xFF)
u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFFFFFF)
u128 = st.integers(0, (1 << 128) - 1)
ipv4 = st.builds(IPv4Address, u32)
ipv6 = st.builds(IPv6Address, u128)
prefix_v4 = st.tuples(u32, st.integers(0, 32)).map(lambda pair: IPv4Network(pair, strict=False))
prefix_v6 = st.tuples(u128, st.integers(0, 128)).map(lambda pair: IPv6Network(pair, strict=False))

capability = st.one_of(
    st.builds(Multiprotocol, st.sampled_from(AddressFamily)),
    st.builds(RouteRefresh),
    st.builds(FourOctetAsn, u32),
    st.builds(OtherCapability, st.sampled_from([64, 69, 70, 73, 128]), st.binary(max_size=12)),
)
segment = st.builds(
    AsSegment, st.sampled_from(SegmentKind), st.lists(u16, min_size=1, max_size=9).map(tuple)
)
attributes = st.builds(
    PathAttributes,
    st.sampled_from(Origin),
    st.lists(segment, max_size=3).map(tuple),
    st.none() | u32,
    st.none() | u32,
    st.lists(u32, max_size=70).map(tuple),
)
reach_v4 = st.builds(Reach, ipv4, st.lists(prefix_v4, min_size=1, max_size=9).map(tuple))
reach_v6 = st.builds(Reach, ipv6, st.lists(prefix_v6, min_size=1, max_size=9).map(tuple))
withdrawn = st.tuples(st.lists(prefix_v4, max_size=9), st.lists(prefix_v6, max_size=9)).map(
    lambda both: (*both[0], *both[1])
)
announcing = st.one_of(st.tuples(reach_v4), st.tuples(reach_v6), st.tuples(reach_v4, reach_v6))
update = st.one_of(
    st.builds(Update, withdrawn),
    st.builds(Update, withdrawn, announcing, attributes),
)
message = st.one_of(
    st.builds(Open, u16, u16, ipv4, st.lists(capability, max_size=8).map(tuple)),
    st.builds(Notification, u8, u8, st.binary(max_size=40)),
    st.builds(RouteRefreshRequest, u16, u8, u8),
    st.just(Keepalive()),
    update,
)


def read(reader: FrameReader, data: bytes) -> list[Frame]:
    """Feed some bytes and return every message that is whole then."""
    reader.feed(data)
    frames = []
    while (cut := reader.next_frame()) is not None:
        frames.append(cut)
    return frames


@given(message, st.booleans())
def test_decode_is_the_inverse_of_encode(sent: Message, four_octet: bool) -> None:
    (cut,) = read(FrameReader(), encode(sent, four_octet=four_octet))

    assert decode(cut, four_octet=four_octet) == sent


@given(st.lists(message, max_size=5), st.lists(st.integers(0, 400), max_size=20))
def test_any_split_of_the_stream_gives_the_same_messages(
    sent: list[Message], cuts: list[int]
) -> None:
    stream = b"".join(encode(one) for one in sent)
    edges = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    reader = FrameReader()

    received = [
        decode(cut) for start, end in pairwise(edges) for cut in read(reader, stream[start:end])
    ]

    assert received == sent


@given(st.sampled_from(MessageType), st.binary(max_size=120), st.booleans())
@example(MessageType.OPEN, b"\x04" + bytes(8) + b"\xff\xff\xff", False)
def test_any_body_gives_a_message_or_the_documented_error(
    kind: MessageType, body: bytes, four_octet: bool
) -> None:
    try:
        for cut in read(FrameReader(), frame(kind, body)):
            decode(cut, four_octet=four_octet)
    except BgpError as error:
        Notification(error.code, error.subcode, error.data)


@given(update, st.data(), st.booleans())
def test_a_damaged_update_gives_a_message_or_the_documented_error(
    sent: Update, data: st.DataObject, four_octet: bool
) -> None:
    body = bytearray(encode(sent, four_octet=four_octet)[19:])
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(u8)
    try:
        received = decode(Frame(MessageType.UPDATE, bytes(body)), four_octet=four_octet)
    except BgpError:
        return
    assert isinstance(received, Update)


@given(st.binary(max_size=200))
def test_any_stream_gives_frames_or_the_documented_error(stream: bytes) -> None:
    codes = []
    try:
        read(FrameReader(), stream)
    except BgpError as error:
        codes.append(error.code)
    assert codes in ([], [ErrorCode.MESSAGE_HEADER])


@given(st.sets(prefix_v4, min_size=1), attributes, ipv4, st.booleans(), st.integers(1, 3))
def test_packing_loses_nothing_and_fits(
    prefixes: set[IPv4Network],
    said: PathAttributes,
    next_hop: IPv4Address,
    four_octet: bool,
    times: int,
) -> None:
    many = tuple(prefixes) * (400 * times)
    announced = pack_announcements(said, Reach(next_hop, many), four_octet=four_octet)
    messages = [encode(one, four_octet=four_octet) for one in announced]

    assert all(len(one) <= MAX_LENGTH for one in messages)
    got = [
        decode(cut, four_octet=four_octet) for one in messages for cut in read(FrameReader(), one)
    ]
    assert tuple(p for one in got for part in one.reach for p in part.prefixes) == many
    # Greedy: of two neighboring messages, the second's first prefix had no room in the first.
    assert all(len(one) > MAX_LENGTH - 5 for one in messages[:-1])


@given(st.sets(prefix_v4 | prefix_v6))
def test_withdrawals_of_both_families_are_all_packed(
    prefixes: set[IPv4Network | IPv6Network],
) -> None:
    got = [
        decode(cut)
        for one in pack_withdrawals(prefixes)
        for cut in read(FrameReader(), encode(one))
    ]

    assert {prefix for one in got for prefix in one.withdrawn} == prefixes
