"""BGP codec: encoded messages decode to themselves, other bytes raise only documented errors."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from metallb_py.addresses import AddressFamily
from metallb_py.model.peers import Origin, SessionParameters
from metallb_py.protocols.bgp.codec.attributes import (
    AsSegment,
    LinkBandwidth,
    PathAttributes,
    SegmentKind,
)
from metallb_py.protocols.bgp.codec.capabilities import (
    MAX_RESTART_TIME,
    EnhancedRouteRefresh,
    ExtendedMessage,
    ExtendedNextHop,
    FourOctetAsn,
    GracefulRestart,
    Hostname,
    Multiprotocol,
    NextHopEncoding,
    OtherCapability,
    RestartFamily,
    RouteRefresh,
)
from metallb_py.protocols.bgp.codec.codes import BgpError, ErrorCode, MessageType
from metallb_py.protocols.bgp.codec.framing import (
    MAX_EXTENDED_LENGTH,
    MAX_LENGTH,
    Frame,
    FrameReader,
    frame,
)
from metallb_py.protocols.bgp.codec.messages import (
    Keepalive,
    Message,
    Notification,
    Open,
    Refresh,
    decode,
    encode,
)
from metallb_py.protocols.bgp.codec.update import Reach, Update
from metallb_py.protocols.bgp.negotiation import Settings, describe, negotiate, our_open
from metallb_py.protocols.bgp.rib.path_attributes import NextHop
from metallb_py.protocols.bgp.rib.update_packing import pack_announcements, pack_withdrawals

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
    st.builds(EnhancedRouteRefresh),
    st.builds(ExtendedMessage),
    st.builds(
        ExtendedNextHop,
        st.lists(st.builds(NextHopEncoding, u16, u16, u16), max_size=3).map(tuple),
    ),
    st.builds(
        GracefulRestart,
        st.integers(0, MAX_RESTART_TIME),
        st.booleans(),
        st.booleans(),
        st.lists(st.builds(RestartFamily, u16, u8, st.booleans()), max_size=3).map(tuple),
    ),
    st.builds(Hostname, st.text(max_size=16), st.text(max_size=4)),
    st.builds(OtherCapability, st.sampled_from([66, 69, 71, 128]), st.binary(max_size=12)),
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
    st.lists(st.tuples(u32, u32, u32), max_size=9, unique=True).map(tuple),
    st.none() | st.builds(LinkBandwidth, u16, st.floats(0, allow_infinity=False, width=32)),
)
some_v4 = st.lists(prefix_v4, min_size=1, max_size=9).map(tuple)
some_v6 = st.lists(prefix_v6, min_size=1, max_size=9).map(tuple)
reach_v4 = st.builds(Reach, ipv4, some_v4)
reach_over_v6 = st.builds(Reach, ipv6, some_v4 | some_v6, st.none() | ipv6)
withdrawn = st.tuples(st.lists(prefix_v4, max_size=9), st.lists(prefix_v6, max_size=9)).map(
    lambda both: (*both[0], *both[1])
)
announcing = st.one_of(
    st.tuples(reach_v4), st.tuples(reach_over_v6), st.tuples(reach_v4, reach_over_v6)
)
update = st.one_of(
    st.builds(Update, withdrawn.filter(bool)),
    st.builds(Update, withdrawn, announcing, attributes),
    st.builds(Update, end_of_rib=st.sampled_from(AddressFamily)),
)
message = st.one_of(
    st.builds(Open, u16, u16, ipv4, st.lists(capability, max_size=6).map(tuple)),
    st.builds(Notification, u8, u8, st.binary(max_size=40)),
    st.builds(Refresh, u16, u8, u8),
    st.just(Keepalive()),
    update,
)


def read(reader: FrameReader, data: bytes) -> list[Frame]:
    """Feed bytes and return the messages that are complete then."""
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
def test_packed_announcements_are_complete_and_fit(
    prefixes: set[IPv4Network],
    shared: PathAttributes,
    next_hop: IPv4Address,
    four_octet: bool,
    times: int,
) -> None:
    many = tuple(prefixes) * (400 * times)
    messages = list(pack_announcements(shared, NextHop(next_hop), many, four_octet=four_octet))

    assert all(len(one) <= MAX_LENGTH for one in messages)
    assert announced(messages, four_octet=four_octet) == many
    # Greedy: of two neighboring messages, the second's first prefix had no room in the first.
    assert all(len(one) > MAX_LENGTH - 5 for one in messages[:-1])


@given(
    some_v4 | some_v6,
    attributes,
    st.builds(NextHop, ipv6, st.none() | ipv6),
    st.sampled_from([MAX_LENGTH, MAX_EXTENDED_LENGTH]),
    st.integers(1, 3),
)
def test_packed_announcements_with_ipv6_next_hops_are_complete_and_fit(
    prefixes: tuple[IPv4Network | IPv6Network, ...],
    shared: PathAttributes,
    next_hop: NextHop,
    max_length: int,
    times: int,
) -> None:
    many = prefixes * (400 * times)
    messages = list(
        pack_announcements(shared, next_hop, many, four_octet=True, max_length=max_length)
    )

    assert all(len(one) <= max_length for one in messages)
    assert announced(messages) == many
    assert all(len(one) > max_length - 18 for one in messages[:-1])


def announced(
    messages: list[bytes], *, four_octet: bool = True
) -> tuple[IPv4Network | IPv6Network, ...]:
    got = [
        decode(cut, four_octet=four_octet)
        for one in messages
        for cut in read(FrameReader(MAX_EXTENDED_LENGTH), one)
    ]
    assert all(isinstance(one, Update) and not one.malformed for one in got)
    return tuple(
        p for one in got if isinstance(one, Update) for part in one.reach for p in part.prefixes
    )


@given(st.sets(prefix_v4 | prefix_v6))
def test_withdrawals_of_both_families_are_all_packed(
    prefixes: set[IPv4Network | IPv6Network],
) -> None:
    got = [decode(cut) for one in pack_withdrawals(prefixes) for cut in read(FrameReader(), one)]

    assert {
        prefix for one in got if isinstance(one, Update) for prefix in one.withdrawn
    } == prefixes


@given(st.builds(Open, u16, u16, ipv4, st.lists(capability, max_size=6).map(tuple)), st.booleans())
def test_any_open_gives_terms_or_the_documented_error(
    theirs: Open, omit_capabilities: bool
) -> None:
    settings = Settings(SessionParameters(64512, 0, graceful_restart=True), hostname="node")
    ours = our_open(
        settings, IPv4Address("10.0.0.1"), ipv4_over_ipv6=True, omit_capabilities=omit_capabilities
    )
    codes = []
    try:
        terms = negotiate(settings.parameters, ours, theirs)
    except BgpError as error:
        codes.append(error.code)
    else:
        assert describe(terms).isprintable()
        assert terms.families <= frozenset(AddressFamily)
    assert codes in ([], [ErrorCode.OPEN_MESSAGE])
