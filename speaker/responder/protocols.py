"""The two protocols that resolve addresses on a link, each as the responder needs it."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from metallb_py.protocols import arp, ethernet, ndp
from metallb_py.protocols.arp import Operation
from metallb_py.protocols.ethernet import EthernetFrame, EtherType, MacAddress
from metallb_py.protocols.ndp import Advertisement
from speaker.responder.arp import DropReason, answer
from speaker.responder.bpf import arp_filter, solicitation_filter
from speaker.responder.conflicts import Claim, arp_claim, ndp_claim
from speaker.responder.ndp import answer_solicitation
from speaker.responder.requesters import Asker


@dataclass(frozen=True, slots=True, eq=False)
class Resolution:
    """How one protocol answers and announces.

    ``name`` is what the operator reads. Addresses are packed, ``address_length`` bytes long. A
    reply has the one that it is about in ``address_in``, and the one that it goes to in
    ``asker_in``. ``program`` makes the kernel's filter for a set of addresses. ``announcements``
    are the frames of one gratuitous burst, ``introductions`` those that are added to the first ones
    after a takeover; ``telling`` is the frame that tells one host what these tell everybody.
    ``probe`` asks whether somebody else has an address, and ``claim`` finds those who say so.
    """

    name: str
    ether_type: EtherType
    address_length: int
    address_in: slice
    asker_in: slice
    answer: Callable[[bytes, MacAddress, Container[bytes], Container[bytes]], bytes | DropReason]
    program: Callable[[Iterable[bytes]], bytes]
    announcements: Callable[[MacAddress, bytes], tuple[bytes, ...]]
    introductions: Callable[[MacAddress, bytes], tuple[bytes, ...]]
    telling: Callable[[MacAddress, bytes, Asker], bytes]
    probe: Callable[[MacAddress, bytes], bytes]
    claim: Callable[[bytes, Container[bytes]], Claim | None]


def _arp_announcements(mac: MacAddress, address: bytes) -> tuple[bytes, ...]:
    frames = (arp.announcement(mac, IPv4Address(address), operation) for operation in Operation)
    return tuple(ethernet.encode(frame) for frame in frames)


def _no_introductions(_mac: MacAddress, _address: bytes) -> tuple[bytes, ...]:
    return ()


def _arp_telling(mac: MacAddress, address: bytes, asker: Asker) -> bytes:
    frame = arp.reply(mac, IPv4Address(address), asker.mac, IPv4Address(asker.address))
    return ethernet.encode(frame)


def _arp_probe(mac: MacAddress, address: bytes) -> bytes:
    return ethernet.encode(arp.probe(mac, IPv4Address(address)))


def _unsolicited_advertisement(mac: MacAddress, address: bytes) -> tuple[bytes, ...]:
    return (ethernet.encode(ndp.unsolicited(mac, IPv6Address(address))),)


def _introduction(mac: MacAddress, address: bytes) -> tuple[bytes, ...]:
    return (ethernet.encode(ndp.introduction(mac, IPv6Address(address))),)


def _ndp_telling(mac: MacAddress, address: bytes, asker: Asker) -> bytes:
    told = Advertisement(IPv6Address(asker.address), IPv6Address(address), mac, override=True)
    packet = ndp.encode_advertisement(told)
    return ethernet.encode(EthernetFrame(asker.mac, mac, EtherType.IPV6, packet))


def _ndp_probe(mac: MacAddress, address: bytes) -> bytes:
    return ethernet.encode(ndp.probe(mac, IPv6Address(address)))


ARP = Resolution(
    name="ARP",
    ether_type=EtherType.ARP,
    address_length=4,
    address_in=slice(28, 32),  # the sender's protocol address
    asker_in=slice(38, 42),  # the target's
    answer=answer,
    program=arp_filter,
    announcements=_arp_announcements,
    introductions=_no_introductions,
    telling=_arp_telling,
    probe=_arp_probe,
    claim=arp_claim,
)
NDP = Resolution(
    name="NDP",
    ether_type=EtherType.IPV6,
    address_length=16,
    address_in=slice(62, 78),  # the target of the advertisement
    asker_in=slice(38, 54),  # the destination of the packet
    answer=answer_solicitation,
    program=solicitation_filter,
    announcements=_unsolicited_advertisement,
    introductions=_introduction,
    telling=_ndp_telling,
    probe=_ndp_probe,
    claim=ndp_claim,
)
