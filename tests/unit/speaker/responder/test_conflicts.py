"""Address conflicts (RFC 5227 2.4), in frames made by scapy."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet

from metallb_py.protocols import arp, ethernet, ndp
from metallb_py.protocols.ethernet import MacAddress
from speaker.responder.conflicts import arp_conflict, ndp_conflict

V4, V6 = "192.0.2.7", "2001:db8::7"
MAC = "02:00:00:00:00:09"
OWNED = {ip_address(V4).packed, ip_address(V6).packed}


def packet(**fields: object) -> Packet:
    return Ether(src=MAC, dst="ff:ff:ff:ff:ff:ff") / ARP(
        **({"hwsrc": MAC, "psrc": V4, "pdst": V4} | fields)
    )


def advertisement(target: str = V6, **fields: object) -> Packet:
    return Ether(src=MAC) / IPv6(hlim=255) / ICMPv6ND_NA(tgt=target, **fields)


@pytest.mark.parametrize(
    "frame", [packet(op=1), packet(op=2), packet(op=2, pdst="192.0.2.1"), packet(op=2, pdst=V4)]
)
def test_arp_conflict_in_frames_with_an_owned_sender_address(frame: Packet) -> None:
    conflict = arp_conflict(bytes(frame), OWNED)
    assert conflict is not None
    assert conflict.address == ip_address(V4).packed
    assert ethernet.format_mac(conflict.mac) == MAC


@pytest.mark.parametrize(
    "frame",
    [
        packet(op=1, psrc="192.0.2.1"),  # a request
        packet(op=1, psrc="0.0.0.0"),  # a probe
        packet(op=2, psrc="192.0.2.8"),
        packet(op=2, hwsrc="ff:ff:ff:ff:ff:ff"),
        packet(op=2, hwsrc="00:00:00:00:00:00"),
        packet(op=2, hwlen=8),
        Ether() / IPv6(),
    ],
)
def test_no_arp_conflict(frame: Packet) -> None:
    assert arp_conflict(bytes(frame), OWNED) is None


@pytest.mark.parametrize(
    "frame", [advertisement(), advertisement() / ICMPv6NDOptDstLLAddr(lladdr=MAC)]
)
def test_ndp_conflict_in_advertisements_of_an_owned_target(frame: Packet) -> None:
    conflict = ndp_conflict(bytes(frame), OWNED)
    assert conflict is not None
    assert conflict.address == ip_address(V6).packed
    assert ethernet.format_mac(conflict.mac) == MAC


@pytest.mark.parametrize(
    "frame",
    [
        advertisement("2001:db8::8"),
        Ether(src=MAC) / IPv6(hlim=254) / ICMPv6ND_NA(tgt=V6),
        Ether(src=MAC) / IPv6(hlim=255) / ICMPv6ND_NS(tgt=V6),
        packet(op=2),
    ],
)
def test_no_ndp_conflict(frame: Packet) -> None:
    assert ndp_conflict(bytes(frame), OWNED) is None


def test_a_conflict_in_a_truncated_frame_has_a_whole_mac_address() -> None:
    for conflict_in, made in ((arp_conflict, packet(op=2)), (ndp_conflict, advertisement())):
        frame = bytes(made)
        assert conflict_in(frame, OWNED) is not None
        for length in range(len(frame)):
            conflict = conflict_in(frame[:length], OWNED)
            assert conflict is None or len(conflict.mac) == 6, length


def test_probes_are_as_in_rfc_5227_and_rfc_4862() -> None:
    mac = MacAddress(bytes.fromhex("020000000001"))
    probe = Ether(ethernet.encode(arp.probe(mac, ip_address(V4))))  # type: ignore[arg-type]
    assert (probe.dst, probe[ARP].op, probe[ARP].psrc) == ("ff:ff:ff:ff:ff:ff", 1, "0.0.0.0")
    assert (probe[ARP].hwdst, probe[ARP].pdst) == ("00:00:00:00:00:00", V4)
    probe = Ether(ethernet.encode(ndp.probe(mac, ip_address(V6))))  # type: ignore[arg-type]
    assert (probe.dst, probe[IPv6].src) == ("33:33:ff:00:00:07", "::")
    assert (probe[IPv6].dst, probe[ICMPv6ND_NS].tgt) == ("ff02::1:ff00:7", V6)
    assert not probe[ICMPv6ND_NS].payload
