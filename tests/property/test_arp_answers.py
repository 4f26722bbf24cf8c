"""ARP with random and damaged input: only documented errors, no wrong or missing answer."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address
from typing import TypeVar

from hypothesis import example, given
from hypothesis import strategies as st
from scapy.layers.l2 import ARP, Dot1Q, Ether

from metallb_py.errors import RemoteProtocolError
from metallb_py.protocols import arp, ethernet, rtnetlink
from metallb_py.protocols.arp import ArpPacket
from metallb_py.protocols.ethernet import EthernetFrame, MacAddress, format_mac
from speaker.responder.arp import DropReason, answer
from speaker.responder.bpf import ranges
from speaker.responder.gratuitous import INTERVAL, WINDOW, Gratuitous

OURS = MacAddress(bytes.fromhex("020000000001"))
OWNED = frozenset(IPv4Address(f"192.0.2.{last}").packed for last in (1, 2, 100))
T = TypeVar("T")

macs = st.one_of(
    st.sampled_from([OURS, ethernet.BROADCAST, bytes.fromhex("020000000002")]),
    st.binary(min_size=6, max_size=6),
).map(MacAddress)
addresses = st.one_of(
    st.sampled_from(sorted(OWNED)).map(IPv4Address), st.just(IPv4Address(0)), st.ip_addresses(v=4)
)
packets = st.builds(
    ArpPacket,
    operation=st.one_of(st.sampled_from([1, 2]), st.integers(0, 0xFFFF)),
    sender_mac=macs,
    sender_ip=addresses,
    target_mac=macs,
    target_ip=addresses,
)
frames = st.builds(
    EthernetFrame,
    destination=macs,
    source=macs,
    ether_type=st.one_of(
        st.just(0x0806), st.integers(0x0600, 0xFFFF).filter(lambda t: t != 0x8100)
    ),
    payload=st.one_of(packets.map(arp.encode), st.binary(max_size=60)),
    vlan=st.one_of(st.none(), st.integers(0, 0xFFF)),
)


requests = st.builds(
    lambda destination, sender_mac, sender_ip, target_ip, vlan: EthernetFrame(
        destination,
        sender_mac,
        0x0806,
        arp.encode(ArpPacket(1, sender_mac, sender_ip, MacAddress(bytes(6)), target_ip)),
        vlan,
    ),
    destination=st.sampled_from([OURS, ethernet.BROADCAST, MacAddress(b"\2\0\0\0\0\2")]),
    sender_mac=st.sampled_from([b"\2\0\0\0\0\2", b"\2\0\0\0\0\3", b"\3\0\0\0\0\2"]).map(MacAddress),
    sender_ip=addresses,
    target_ip=addresses,
    vlan=st.sampled_from([None, None, None, 0, 5]),
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Return a frame with some bytes changed, cut off or added."""
    data = bytearray(ethernet.encode(draw(st.one_of(frames, requests))))
    for position in draw(st.lists(st.integers(0, len(data) - 1), max_size=2)):
        data[position] = draw(st.integers(0, 255))
    end = draw(st.one_of(st.just(len(data)), st.integers(0, len(data))))
    return bytes(data[:end]) + draw(st.binary(max_size=20))


def decoded(decode: Callable[[bytes], T], data: bytes) -> T | None:
    """Decode input that may be malformed; only the documented error is allowed."""
    try:
        return decode(data)
    except RemoteProtocolError:
        return None


@given(frames)
def test_ethernet_frame_round_trips(frame: EthernetFrame) -> None:
    assert ethernet.decode(ethernet.encode(frame)) == frame


@given(packets, st.binary(max_size=20))
def test_arp_packet_round_trips_with_any_padding(packet: ArpPacket, padding: bytes) -> None:
    assert arp.decode(arp.encode(packet) + padding) == packet


@given(st.one_of(st.binary(max_size=200), damaged()))
def test_decoders_raise_only_remote_protocol_error(data: bytes) -> None:
    frame = decoded(ethernet.decode, data)
    if frame is not None:
        assert ethernet.decode(ethernet.encode(frame)) == frame
    packet = decoded(arp.decode, data)
    if packet is not None:
        assert arp.encode(packet) == data[:28]
    decoded(rtnetlink.decode, data)


@given(st.one_of(requests.map(ethernet.encode), damaged()))
@example(ethernet.BROADCAST + OURS + b"\0\x06" + bytes(40))
def test_arp_answers_exactly_the_frames_that_scapy_reads_as_requests(data: bytes) -> None:
    reply = answer(data, OURS, OWNED)

    if isinstance(reply, DropReason):
        assert not is_request_to_us(data)
    else:
        assert is_request_to_us(data)
        request, found = Ether(data)[ARP], Ether(reply)[ARP]
        assert (found.op, found.hwsrc, found.psrc) == (2, format_mac(OURS), request.pdst)
        assert (found.hwdst, found.pdst) == (request.hwsrc, request.psrc)
        assert (Ether(reply).dst, Ether(reply).src) == (request.hwsrc, format_mac(OURS))


def is_request_to_us(data: bytes) -> bool:
    """Whether a frame is a request for an owned address, by RFC 826 and scapy alone."""
    if len(data) < 42:
        return False
    outer = Ether(data)
    if not isinstance(outer, Ether):  # a length in place of the type: IEEE 802.3
        return False
    inner = outer
    if Dot1Q in outer and outer.type == 0x8100:
        inner = outer[Dot1Q]
        if inner.vlan != 0:
            return False
    if inner.type != 0x0806 or ARP not in inner or len(bytes(inner.payload)) < 28:
        return False
    packet = inner[ARP]
    kinds = (packet.hwtype, packet.ptype, packet.hwlen, packet.plen, packet.op)
    return (
        kinds == (1, 0x0800, 6, 4, 1)
        and IPv4Address(packet.pdst).packed in OWNED
        and outer.dst in (format_mac(OURS), "ff:ff:ff:ff:ff:ff")
        and not int(packet.hwsrc[:2], 16) & 1
    )


@given(st.lists(st.integers(0, 300)), st.integers(1, 5))
def test_bpf_ranges_cover_all_numbers_in_order_within_the_limit(
    numbers: list[int], limit: int
) -> None:
    found = ranges(numbers, limit)

    assert len(found) <= limit
    flat = [bound for pair in found for bound in pair]
    assert flat == sorted(flat)
    assert all(any(first <= n <= last for first, last in found) for n in numbers)
    assert {bound for pair in found for bound in pair} <= set(numbers)


steps = st.lists(
    st.tuples(
        st.sampled_from(["announce", "withdraw", "wait"]),
        st.sampled_from([b"\1", b"\2", b"\3"]),
        st.floats(0.0, 3.0),
    ),
    max_size=30,
)


@given(steps)
def test_gratuitous_arp_is_sent_for_held_addresses_at_a_limited_rate(
    actions: list[tuple[str, bytes, float]],
) -> None:
    schedule = Gratuitous()
    held: dict[bytes, float] = {}  # end of the announcement window by address
    last: dict[bytes, float] = {}
    now = 0.0

    def sent(address: bytes, at: float) -> None:
        assert address in held
        assert at < held[address]
        assert at - last.get(address, -INTERVAL) >= INTERVAL - 1e-9
        last[address] = at

    for action, address, pause in actions:
        if action == "announce":
            held[address] = now + WINDOW
            for burst in schedule.announce(address, now):
                sent(burst.address, now)
        elif action == "withdraw":
            held.pop(address, None)
            last.pop(address, None)
            schedule.withdraw({address})
        until = now + pause
        while (deadline := schedule.next_deadline()) is not None and deadline <= until:
            for burst in schedule.handle_timeout(deadline):
                sent(burst.address, deadline)
        now = until
