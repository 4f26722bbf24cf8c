"""ARP codec (RFC 826), compared with scapy."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from scapy.layers.l2 import ARP, Ether

from metallb_py.errors import RemoteProtocolError
from metallb_py.protocols import ethernet
from metallb_py.protocols.arp import (
    UNSPECIFIED,
    ArpError,
    ArpPacket,
    Operation,
    announcement,
    decode,
    encode,
)
from metallb_py.protocols.ethernet import MacAddress

MAC = MacAddress(bytes.fromhex("02005e005301"))
ZERO = MacAddress(bytes(6))
REQUEST = ArpPacket(
    Operation.REQUEST, MAC, IPv4Address("192.0.2.1"), ZERO, IPv4Address("192.0.2.9")
)
SCAPY_REQUEST = ARP(
    op=1, hwsrc="02:00:5e:00:53:01", psrc="192.0.2.1", hwdst="0:0:0:0:0:0", pdst="192.0.2.9"
)


def test_arp_request_encodes_and_decodes_as_in_scapy() -> None:
    assert encode(REQUEST) == bytes(SCAPY_REQUEST)
    assert decode(bytes(SCAPY_REQUEST)) == REQUEST


def test_arp_probe_has_an_unspecified_sender_address() -> None:
    probe = decode(bytes(ARP(op=1, hwsrc="02:00:5e:00:53:01", psrc="0.0.0.0", pdst="192.0.2.9")))
    assert probe.sender_ip == UNSPECIFIED


def test_padding_is_ignored() -> None:
    assert decode(bytes(SCAPY_REQUEST) + bytes(18)) == REQUEST


def test_an_unknown_operation_is_not_an_error() -> None:
    # RFC 5494 section 2: new operation codes may be assigned.
    assert decode(bytes(ARP(op=25))).operation == 25


@pytest.mark.parametrize("length", range(28))
def test_a_short_packet_is_an_error(length: int) -> None:
    with pytest.raises(ArpError, match=f"found {length} bytes, want 28"):
        decode(bytes(SCAPY_REQUEST)[:length])
    assert issubclass(ArpError, RemoteProtocolError)


@pytest.mark.parametrize(
    "other",
    [
        ARP(hwtype=6),
        ARP(ptype=0x86DD),
        ARP(hwlen=8, hwsrc=b"", hwdst=b""),
        ARP(plen=16),
    ],
    ids=["hardware type", "protocol type", "hardware length", "protocol length"],
)
def test_other_hardware_or_protocol_types_are_an_error(other: ARP) -> None:
    with pytest.raises(ArpError, match="want 000108000604"):
        decode(bytes(other).ljust(28, b"\0"))


@pytest.mark.parametrize("operation", Operation)
def test_gratuitous_arp_is_the_frame_that_metallb_sends(operation: Operation) -> None:
    frame = Ether(ethernet.encode(announcement(MAC, IPv4Address("192.0.2.9"), operation)))

    assert (frame.dst, frame.src) == ("ff:ff:ff:ff:ff:ff", "02:00:5e:00:53:01")
    assert frame[ARP].op == operation
    assert (frame[ARP].psrc, frame[ARP].pdst) == ("192.0.2.9", "192.0.2.9")
    assert (frame[ARP].hwsrc, frame[ARP].hwdst) == ("02:00:5e:00:53:01", "ff:ff:ff:ff:ff:ff")
