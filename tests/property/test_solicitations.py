"""Neighbor discovery with random and damaged input: only documented errors, no wrong answer."""

from __future__ import annotations

import contextlib
from ipaddress import IPv6Address

from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import Ether

from metallb_py.protocols import ethernet, ndp
from metallb_py.protocols.ethernet import EthernetFrame, MacAddress, format_mac
from metallb_py.protocols.ndp import NdpError, Solicitation
from speaker.responder.arp import DropReason
from speaker.responder.ndp import answer_solicitation

OURS = MacAddress(bytes.fromhex("020000000001"))
THEIRS = MacAddress(bytes.fromhex("020000000002"))
VIP = IPv6Address("2001:db8::64")
OWNED = frozenset({VIP.packed})

unicast = st.one_of(st.just(VIP), st.ip_addresses(v=6).filter(lambda a: not a.is_multicast))
solicitations = st.builds(
    lambda source, target, source_mac: Solicitation(
        source, ndp.solicited_node(target), target, source_mac if int(source) else None
    ),
    source=st.one_of(st.just(ndp.UNSPECIFIED), unicast),
    target=unicast,
    source_mac=st.sampled_from([None, THEIRS]),
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Return a frame with a solicitation, some bytes of it changed, cut off or added."""
    solicitation = draw(solicitations)
    destination = draw(st.sampled_from([OURS, ndp.multicast_mac(solicitation.destination)]))
    packet = ndp.encode_solicitation(solicitation)
    data = bytearray(ethernet.encode(EthernetFrame(destination, THEIRS, 0x86DD, packet)))
    for position in draw(st.lists(st.integers(0, len(data) - 1), max_size=2)):
        data[position] = draw(st.integers(0, 255))
    end = draw(st.one_of(st.just(len(data)), st.integers(0, len(data))))
    return bytes(data[:end]) + draw(st.binary(max_size=20))


@given(solicitations, st.binary(max_size=20))
def test_neighbor_solicitation_round_trips_with_any_padding(
    solicitation: Solicitation, padding: bytes
) -> None:
    assert ndp.decode_solicitation(ndp.encode_solicitation(solicitation) + padding) == solicitation


@given(st.one_of(st.binary(max_size=200), damaged().map(lambda frame: frame[14:])))
def test_neighbor_solicitation_decoder_raises_only_ndp_error(data: bytes) -> None:
    with contextlib.suppress(NdpError):
        ndp.decode_solicitation(data)


@given(st.one_of(st.binary(max_size=200), damaged()))
def test_neighbor_advertisement_is_valid_and_for_an_owned_address(data: bytes) -> None:
    reply = answer_solicitation(data, OURS, OWNED)

    if isinstance(reply, DropReason):
        return
    assert VIP.packed in data
    parsed = Ether(reply)
    assert parsed.src == format_mac(OURS)
    assert (parsed[IPv6].src, parsed[IPv6].hlim) == (str(VIP), 255)
    assert parsed[ICMPv6ND_NA].tgt == str(VIP)
    assert parsed[ICMPv6NDOptDstLLAddr].lladdr == format_mac(OURS)
    rebuilt = parsed.copy()
    del rebuilt[ICMPv6ND_NA].cksum, rebuilt[IPv6].plen
    assert bytes(rebuilt) == reply


@given(solicitations)
def test_every_solicitation_for_an_owned_address_is_answered(solicitation: Solicitation) -> None:
    frame = EthernetFrame(
        ndp.multicast_mac(solicitation.destination),
        THEIRS,
        0x86DD,
        ndp.encode_solicitation(solicitation),
    )
    reply = answer_solicitation(ethernet.encode(frame), OURS, OWNED)
    assert isinstance(reply, bytes) is (solicitation.target == VIP)
