"""Neighbor discovery codec (RFC 4861), compared with scapy."""

from __future__ import annotations

from ipaddress import IPv6Address

import pytest
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptMTU,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    in6_getnsma,
    in6_getnsmac,
)
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from metallb_py.errors import RemoteProtocolError
from metallb_py.protocols import ethernet
from metallb_py.protocols.ethernet import MacAddress
from metallb_py.protocols.ndp import (
    Advertisement,
    NdpError,
    Solicitation,
    decode_solicitation,
    encode_advertisement,
    encode_solicitation,
    multicast_mac,
    solicited_node,
    unsolicited,
)

MAC_TEXT = "02:00:5e:00:53:01"
MAC = MacAddress(bytes.fromhex(MAC_TEXT.replace(":", "")))
TARGET = IPv6Address("2001:db8::1:2a")
CLIENT = IPv6Address("fe80::2")


def scapy_solicitation(
    source: str = "fe80::2",
    destination: str = str(solicited_node(TARGET)),
    target: str = str(TARGET),
    mac: str | None = MAC_TEXT,
    **ip: int,
) -> Packet:
    """Return a neighbor solicitation built by scapy."""
    packet = IPv6(**({"src": source, "dst": destination, "hlim": 255} | ip)) / ICMPv6ND_NS(
        tgt=target
    )
    return packet / ICMPv6NDOptSrcLLAddr(lladdr=mac) if mac else packet


@pytest.mark.parametrize("mac", [MAC_TEXT, None])
def test_neighbor_solicitation_encodes_and_decodes_as_in_scapy(mac: str | None) -> None:
    expected = Solicitation(CLIENT, solicited_node(TARGET), TARGET, MAC if mac else None)
    assert decode_solicitation(bytes(scapy_solicitation(mac=mac))) == expected
    assert encode_solicitation(expected) == bytes(scapy_solicitation(mac=mac))


def test_padding_and_unknown_options_are_ignored() -> None:
    packet = bytes(scapy_solicitation() / ICMPv6NDOptMTU(mtu=1500)) + bytes(10)
    decoded = decode_solicitation(packet)
    assert decoded is not None
    assert decoded.source_mac == MAC


def test_duplicate_address_detection_has_an_unspecified_source() -> None:
    decoded = decode_solicitation(bytes(scapy_solicitation(source="::", mac=None)))
    assert decoded == Solicitation(IPv6Address("::"), solicited_node(TARGET), TARGET, None)


@pytest.mark.parametrize(
    "other",
    [
        IPv6(dst="fe80::1") / ICMPv6EchoRequest(),
        IPv6(dst="fe80::1", hlim=255) / ICMPv6ND_NA(tgt="fe80::1"),
        IPv6(dst="fe80::1", nh=59),
        IPv6(dst="fe80::1", nh=58),
    ],
)
def test_packet_other_than_a_solicitation_decodes_to_none(other: Packet) -> None:
    assert decode_solicitation(bytes(other)) is None


def option(*data: int) -> Packet:
    return scapy_solicitation(mac=None) / bytes(data)


@pytest.mark.parametrize(
    ("packet", "problem"),
    [
        (bytes(39), "ipv6 header ends early"),
        (bytes(40), "ip version: found 0"),
        (bytes(scapy_solicitation())[:-1], "ipv6 packet ends early: found 31 bytes, want 32"),
        (bytes(scapy_solicitation(hlim=254)), "hop limit: found 254"),
        (bytes(scapy_solicitation())[:-1] + b"\x77", "checksum"),
        (bytes(scapy_solicitation(target="ff02::1")), "found the group ff02::1"),
        (bytes(IPv6(dst="fe80::1", hlim=255) / ICMPv6ND_NS(code=1)), "code: found 1"),
        (bytes(scapy_solicitation(source="::")), "without a source"),
        (
            bytes(scapy_solicitation(source="::", destination=str(TARGET), mac=None)),
            "without a source",
        ),
        (bytes(option(1, 0, 0, 0, 0, 0, 0, 0)), "option length: found 0"),
        (bytes(option(1, 2, 0, 0, 0, 0, 0, 0)), "option length: found 2"),
        (bytes(option(1)), "option length: found 0"),
    ],
)
def test_invalid_neighbor_solicitation_is_an_error(packet: bytes, problem: str) -> None:
    # RFC 4861 section 7.1.1.
    with pytest.raises(NdpError, match=problem):
        decode_solicitation(packet)
    assert issubclass(NdpError, RemoteProtocolError)


@pytest.mark.parametrize("length", range(1, 24))
def test_truncated_neighbor_solicitation_is_an_error(length: int) -> None:
    whole = scapy_solicitation(mac=None)
    cut = IPv6(src=whole.src, dst=whole.dst, hlim=255, nh=58) / bytes(whole.payload)[:length]
    with pytest.raises(NdpError):
        decode_solicitation(bytes(cut))


@pytest.mark.parametrize("flags", [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)])
def test_neighbor_advertisement_encodes_as_in_scapy(flags: tuple[int, int, int]) -> None:
    router, solicited, override = flags
    ours = Advertisement(CLIENT, TARGET, MAC, bool(router), bool(solicited), bool(override))
    expected = (
        IPv6(src=str(TARGET), dst=str(CLIENT), hlim=255)
        / ICMPv6ND_NA(tgt=str(TARGET), R=router, S=solicited, O=override)
        / ICMPv6NDOptDstLLAddr(lladdr=MAC_TEXT)
    )
    assert encode_advertisement(ours) == bytes(expected)


def test_unsolicited_neighbor_advertisement_to_all_nodes_sets_override() -> None:
    frame = Ether(ethernet.encode(unsolicited(MAC, TARGET)))
    assert (frame.src, frame.dst) == (MAC_TEXT, "33:33:00:00:00:01")
    assert (frame[IPv6].src, frame[IPv6].dst, frame[IPv6].hlim) == (str(TARGET), "ff02::1", 255)
    message = frame[ICMPv6ND_NA]
    assert (message.tgt, message.R, message.S, message.O) == (str(TARGET), 0, 0, 1)
    assert frame[ICMPv6NDOptDstLLAddr].lladdr == MAC_TEXT


def test_solicited_node_group_and_its_multicast_mac() -> None:
    group = in6_getnsma(TARGET.packed)
    assert solicited_node(TARGET).packed == group
    assert multicast_mac(solicited_node(TARGET)).hex(":") == in6_getnsmac(group)
