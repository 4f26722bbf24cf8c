"""The two protocols that resolve addresses on a link, each as the responder needs it."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from metallb_py.protocols import ethernet, ndp
from metallb_py.protocols.arp import Operation, announcement
from metallb_py.protocols.ethernet import EtherType, MacAddress
from speaker.layer2.answer import DropReason, answer
from speaker.layer2.packet_filter import arp_filter, solicitation_filter
from speaker.layer2.solicitation import answer_solicitation


@dataclass(frozen=True, slots=True, eq=False)
class Resolution:
    """How one protocol answers and announces.

    ``name`` is what the operator reads. Addresses are packed, ``address_length`` bytes long;
    ``address_in`` is where a reply has the one that it is about. ``program`` makes the kernel's
    filter for a set of them. ``announcements`` are the frames of one gratuitous burst.
    """

    name: str
    ether_type: EtherType
    address_length: int
    address_in: slice
    answer: Callable[[bytes, MacAddress, Container[bytes], Container[bytes]], bytes | DropReason]
    program: Callable[[Iterable[bytes]], bytes]
    announcements: Callable[[MacAddress, bytes], tuple[bytes, ...]]


def _arp_announcements(mac: MacAddress, address: bytes) -> tuple[bytes, ...]:
    frames = (announcement(mac, IPv4Address(address), operation) for operation in Operation)
    return tuple(ethernet.encode(frame) for frame in frames)


def _unsolicited_advertisement(mac: MacAddress, address: bytes) -> tuple[bytes, ...]:
    return (ethernet.encode(ndp.unsolicited(mac, IPv6Address(address))),)


ARP = Resolution(
    name="ARP",
    ether_type=EtherType.ARP,
    address_length=4,
    address_in=slice(28, 32),  # the sender's protocol address
    answer=answer,
    program=arp_filter,
    announcements=_arp_announcements,
)
NDP = Resolution(
    name="NDP",
    ether_type=EtherType.IPV6,
    address_length=16,
    address_in=slice(62, 78),  # the target of the advertisement
    answer=answer_solicitation,
    program=solicitation_filter,
    announcements=_unsolicited_advertisement,
)
