"""Ethernet codec, compared with scapy."""

from __future__ import annotations

import pytest
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw

from metallb_py.errors import RemoteProtocolError
from metallb_py.protocols.ethernet import (
    BROADCAST,
    EthernetError,
    EthernetFrame,
    EtherType,
    MacAddress,
    decode,
    encode,
    format_mac,
    is_group,
)

OURS = MacAddress(bytes.fromhex("020000000001"))
THEIRS = MacAddress(bytes.fromhex("020000000002"))


def test_untagged_frame_encodes_and_decodes_as_in_scapy() -> None:
    frame = EthernetFrame(OURS, THEIRS, EtherType.ARP, b"payload")
    expected = Ether(dst=format_mac(OURS), src=format_mac(THEIRS), type=0x0806) / Raw(b"payload")

    assert encode(frame) == bytes(expected)
    assert decode(bytes(expected)) == frame


@pytest.mark.parametrize("vlan", [0, 1, 4094])
def test_vlan_tag_is_decoded_and_its_priority_ignored(vlan: int) -> None:
    outer = Ether(dst=format_mac(BROADCAST), src=format_mac(THEIRS))
    tagged = bytes(outer / Dot1Q(vlan=vlan, prio=5, dei=1, type=0x0806) / Raw(b"payload"))

    frame = decode(tagged)

    assert frame == EthernetFrame(BROADCAST, THEIRS, EtherType.ARP, b"payload", vlan)
    parsed = Ether(encode(frame))
    assert (parsed[Dot1Q].vlan, parsed[Dot1Q].type) == (vlan, 0x0806)
    assert bytes(parsed[Raw]) == b"payload"


@pytest.mark.parametrize("length", range(18))
def test_frame_truncated_in_its_header_is_an_error(length: int) -> None:
    whole = encode(EthernetFrame(OURS, THEIRS, EtherType.ARP, b"", vlan=1))
    assert len(whole) == 18

    with pytest.raises(EthernetError, match="data ends early"):
        decode(whole[:length])


def test_ieee_802_3_length_instead_of_ethertype_is_an_error() -> None:
    # IEEE 802.3 frames, for example of the spanning tree: below 0x0600 it is a length.
    with pytest.raises(EthernetError, match="found type 0x05ff, want 0x0600 or more"):
        decode(OURS + THEIRS + b"\x05\xff" + bytes(50))
    assert issubclass(EthernetError, RemoteProtocolError)


def test_group_addresses() -> None:
    assert is_group(BROADCAST)
    assert is_group(MacAddress(bytes.fromhex("01005e000001")))
    assert not is_group(OURS)
