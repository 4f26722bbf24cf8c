"""ARP and neighbor discovery behind one interface, for the responder's sockets."""

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
from speaker.responder.conflicts import ConflictingFrame, arp_conflict, ndp_conflict
from speaker.responder.ndp import answer_solicitation
from speaker.responder.requesters import Requester


@dataclass(frozen=True, slots=True, eq=False)
class AddressResolutionProtocol:
    """A protocol that resolves addresses on a link. Addresses are packed."""

    name: str
    """Name in logs and Events."""
    ether_type: EtherType
    """EtherType of its frames."""
    address_length: int
    """Length of an address, in bytes."""
    address_in: slice
    """Position of the announced address in a reply."""
    requester_in: slice
    """Position of the requester's IP address in a reply."""
    answer: Callable[[bytes, MacAddress, Container[bytes], Container[bytes]], bytes | DropReason]
    """Reply to a frame: (frame, interface's MAC, owned addresses, MACs of all our interfaces)."""
    program: Callable[[Iterable[bytes]], bytes]
    """BPF program that accepts the frames which concern a set of addresses."""
    announcements: Callable[[MacAddress, bytes], tuple[bytes, ...]]
    """Frames of one gratuitous burst."""
    router_notifications: Callable[[MacAddress, bytes], tuple[bytes, ...]]
    """Frames to routers, added to the first bursts after a takeover."""
    unicast_announcement: Callable[[MacAddress, bytes, Requester], bytes]
    """Announcement to one host, as unicast."""
    probe: Callable[[MacAddress, bytes], bytes]
    """Request that another host with the address would answer."""
    conflict_in: Callable[[bytes, Container[bytes]], ConflictingFrame | None]
    """Conflict that a frame contains: another host announces an owned address."""


def _arp_announcements(mac: MacAddress, address: bytes) -> tuple[bytes, ...]:
    frames = (arp.announcement(mac, IPv4Address(address), operation) for operation in Operation)
    return tuple(ethernet.encode(frame) for frame in frames)


def _no_router_notifications(_mac: MacAddress, _address: bytes) -> tuple[bytes, ...]:
    return ()


def _arp_unicast_announcement(mac: MacAddress, address: bytes, requester: Requester) -> bytes:
    frame = arp.reply(mac, IPv4Address(address), requester.mac, IPv4Address(requester.address))
    return ethernet.encode(frame)


def _arp_probe(mac: MacAddress, address: bytes) -> bytes:
    return ethernet.encode(arp.probe(mac, IPv4Address(address)))


def _unsolicited_advertisement(mac: MacAddress, address: bytes) -> tuple[bytes, ...]:
    return (ethernet.encode(ndp.unsolicited(mac, IPv6Address(address))),)


def _router_notification(mac: MacAddress, address: bytes) -> tuple[bytes, ...]:
    return (ethernet.encode(ndp.unsolicited_to_routers(mac, IPv6Address(address))),)


def _ndp_unicast_announcement(mac: MacAddress, address: bytes, requester: Requester) -> bytes:
    client = IPv6Address(requester.address)
    advertisement = Advertisement(client, IPv6Address(address), mac, override=True)
    packet = ndp.encode_advertisement(advertisement)
    return ethernet.encode(EthernetFrame(requester.mac, mac, EtherType.IPV6, packet))


def _ndp_probe(mac: MacAddress, address: bytes) -> bytes:
    return ethernet.encode(ndp.probe(mac, IPv6Address(address)))


ARP = AddressResolutionProtocol(
    name="ARP",
    ether_type=EtherType.ARP,
    address_length=4,
    address_in=slice(28, 32),  # the sender's protocol address
    requester_in=slice(38, 42),  # the target's protocol address
    answer=answer,
    program=arp_filter,
    announcements=_arp_announcements,
    router_notifications=_no_router_notifications,
    unicast_announcement=_arp_unicast_announcement,
    probe=_arp_probe,
    conflict_in=arp_conflict,
)
NDP = AddressResolutionProtocol(
    name="NDP",
    ether_type=EtherType.IPV6,
    address_length=16,
    address_in=slice(62, 78),  # the target of the advertisement
    requester_in=slice(38, 54),  # the destination of the packet
    answer=answer_solicitation,
    program=solicitation_filter,
    announcements=_unsolicited_advertisement,
    router_notifications=_router_notification,
    unicast_announcement=_ndp_unicast_announcement,
    probe=_ndp_probe,
    conflict_in=ndp_conflict,
)
