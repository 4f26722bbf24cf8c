"""Who says that an address is his, in frames that scapy made."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet

from metallb_py.protocols import arp, ethernet, ndp
from metallb_py.protocols.ethernet import MacAddress
from speaker.responder.conflicts import arp_claim, ndp_claim

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
def test_an_arp_claim(frame: Packet) -> None:
    claim = arp_claim(bytes(frame), OWNED)
    assert claim is not None
    assert claim.address == ip_address(V4).packed
    assert ethernet.format_mac(claim.mac) == MAC


@pytest.mark.parametrize(
    "frame",
    [
        packet(op=1, psrc="192.0.2.1"),  # a question
        packet(op=1, psrc="0.0.0.0"),  # a probe
        packet(op=2, psrc="192.0.2.8"),
        packet(op=2, hwsrc="ff:ff:ff:ff:ff:ff"),
        packet(op=2, hwsrc="00:00:00:00:00:00"),
        packet(op=2, hwlen=8),
        Ether() / IPv6(),
    ],
)
def test_no_arp_claim(frame: Packet) -> None:
    assert arp_claim(bytes(frame), OWNED) is None


@pytest.mark.parametrize(
    "frame", [advertisement(), advertisement() / ICMPv6NDOptDstLLAddr(lladdr=MAC)]
)
def test_an_ndp_claim(frame: Packet) -> None:
    claim = ndp_claim(bytes(frame), OWNED)
    assert claim is not None
    assert claim.address == ip_address(V6).packed
    assert ethernet.format_mac(claim.mac) == MAC


@pytest.mark.parametrize(
    "frame",
    [
        advertisement("2001:db8::8"),
        Ether(src=MAC) / IPv6(hlim=254) / ICMPv6ND_NA(tgt=V6),
        Ether(src=MAC) / IPv6(hlim=255) / ICMPv6ND_NS(tgt=V6),
        packet(op=2),
    ],
)
def test_no_ndp_claim(frame: Packet) -> None:
    assert ndp_claim(bytes(frame), OWNED) is None


@pytest.mark.parametrize("length", range(90))
def test_frames_that_end_early_claim_nothing_that_they_do_not_say(length: int) -> None:
    for find, frame in ((arp_claim, packet(op=2)), (ndp_claim, advertisement())):
        claim = find(bytes(frame)[:length], OWNED)
        assert claim is None or len(claim.mac) == 6


def test_our_probes_are_those_of_the_rfcs() -> None:
    mac = MacAddress(bytes.fromhex("020000000001"))
    asked = Ether(ethernet.encode(arp.probe(mac, ip_address(V4))))  # type: ignore[arg-type]
    assert (asked.dst, asked[ARP].op, asked[ARP].psrc) == ("ff:ff:ff:ff:ff:ff", 1, "0.0.0.0")
    assert (asked[ARP].hwdst, asked[ARP].pdst) == ("00:00:00:00:00:00", V4)
    asked = Ether(ethernet.encode(ndp.probe(mac, ip_address(V6))))  # type: ignore[arg-type]
    assert (asked.dst, asked[IPv6].src) == ("33:33:ff:00:00:07", "::")
    assert (asked[IPv6].dst, asked[ICMPv6ND_NS].tgt) == ("ff02::1:ff00:7", V6)
    assert not asked[ICMPv6ND_NS].payload
