"""Codec for rtnetlink messages about network interfaces (RFC 3549, rtnetlink(7)).

Small enough to need no library: pyroute2 adds 8 MB to a process and a third of a second to its
start. All numbers are in the byte order of this machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from struct import Struct

from metallb_py.errors import RemoteProtocolError
from metallb_py.protocols.ethernet import MacAddress

LINK_GROUP = 1
"""Multicast group with every change of an interface (RTMGRP_LINK)."""
ADDRESS_GROUPS = 0x110
"""Groups with every change of an address (RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR)."""
SCOPE_UNIVERSE = 0
"""Scope of addresses that are valid everywhere (RT_SCOPE_UNIVERSE)."""
SCOPE_LINK = 253
"""Scope of addresses that are valid on their own link only (RT_SCOPE_LINK); higher scopes are
narrower."""

UNFIT_FLAGS = 0x01 | 0x08 | 0x20 | 0x40
"""Flags of addresses that must not be passed on to other hosts: temporary, duplicate, deprecated or
tentative (IFA_F_TEMPORARY, IFA_F_DADFAILED, IFA_F_DEPRECATED, IFA_F_TENTATIVE)."""

IFF_UP = 0x1
IFF_BROADCAST = 0x2
IFF_NOARP = 0x80
IFF_LOWER_UP = 0x10000
ARPHRD_ETHER = 1

_HEADER = Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_LINK = Struct("=BxHiII")  # ifinfomsg: family, hardware type, index, flags, change mask
_ADDRESS = Struct("=BBBBI")  # ifaddrmsg: family, prefix length, flags, scope, index
_ATTRIBUTE = Struct("=HH")  # rtattr: length, type
_NUMBER = Struct("=I")

_NLMSG_DONE = 3
_RTM_NEWLINK = 16
_RTM_DELLINK = 17
_RTM_GETLINK = 18
_RTM_NEWADDR = 20
_RTM_DELADDR = 21
_RTM_GETADDR = 22
_NLM_F_REQUEST = 0x1
_NLM_F_MULTI = 0x2
_NLM_F_DUMP_INTR = 0x10
_NLM_F_DUMP = 0x300
_IFA_ADDRESS = 1
_IFA_LOCAL = 2
_IFLA_ADDRESS = 1
_IFLA_IFNAME = 3
_IFLA_MASTER = 10
_IFLA_EXT_MASK = 29
_IFLA_CARRIER_UP_COUNT = 47
_RTEXT_FILTER_SKIP_STATS = 1 << 3
_ADDRESS_LENGTHS = {4, 16}
_TYPE_BITS = 0x3FFF  # the other two bits flag nesting and byte order


class NetlinkError(RemoteProtocolError):
    """The bytes are not netlink messages."""


@dataclass(frozen=True, slots=True)
class Link:
    """A network interface, as an event or as a part of a dump."""

    index: int
    """The interface's number."""
    name: str
    """Its name, such as ``eth0``; empty where the message has none."""
    hardware_type: int
    """An ARPHRD number, such as ``ARPHRD_ETHER``."""
    flags: int
    """IFF flags."""
    mac: MacAddress
    """Link-layer address; empty where the interface has none."""
    master: int
    """Index of the interface's bridge, bond or VRF, 0 without one."""
    carriers: int = 0
    """The number of times that the interface gained carrier, 0 where the kernel does not count.

    Only this shows a short loss of carrier: the kernel reports carrier changes once per second, and
    then the current state."""
    sequence: int = field(default=0, compare=False)
    """Sequence number of the dump request that this answers, 0 for an event."""


@dataclass(frozen=True, slots=True)
class LinkGone:
    """The interface with this index was removed."""

    index: int


@dataclass(frozen=True, slots=True)
class Address:
    """An address of an interface, as an event or as a part of a dump."""

    index: int
    """The interface's number."""
    address: bytes
    """Packed address, of 4 or 16 bytes: on a point-to-point link that of the other end."""
    prefix_length: int
    """Bits of the subnet's prefix."""
    scope: int
    """An RT_SCOPE number, such as ``SCOPE_LINK``."""
    present: bool = True
    """False where the address was removed."""
    sequence: int = field(default=0, compare=False)
    """Sequence number of the dump request that this answers, 0 for an event."""
    local: bytes = field(default=b"", compare=False)
    """The interface's own address, packed; differs from ``address`` on a point-to-point link."""
    flags: int = field(default=0, compare=False)
    """IFA_F flags."""


@dataclass(frozen=True, slots=True)
class DumpDone:
    """The end of the dump with this sequence number.

    Without ``complete`` the kernel's table changed during the dump: request it again.
    """

    sequence: int
    complete: bool


Message = Link | LinkGone | Address | DumpDone


def request_links(sequence: int) -> bytes:
    """Return a dump request for all interfaces."""
    mask = _ATTRIBUTE.pack(8, _IFLA_EXT_MASK) + _NUMBER.pack(_RTEXT_FILTER_SKIP_STATS)
    body = _LINK.pack(0, 0, 0, 0, 0) + mask
    flags = _NLM_F_REQUEST | _NLM_F_DUMP
    return _HEADER.pack(_HEADER.size + len(body), _RTM_GETLINK, flags, sequence, 0) + body


def request_addresses(sequence: int) -> bytes:
    """Return a dump request for all addresses of all interfaces."""
    body = _ADDRESS.pack(0, 0, 0, 0, 0)
    flags = _NLM_F_REQUEST | _NLM_F_DUMP
    return _HEADER.pack(_HEADER.size + len(body), _RTM_GETADDR, flags, sequence, 0) + body


def decode(data: bytes) -> tuple[Message, ...]:
    """Decode one datagram from the kernel, whether it has events or parts of a dump.

    Messages of other types are skipped. Raises NetlinkError and nothing else.
    """
    return tuple(_messages(data))


def _messages(data: bytes) -> Iterator[Message]:
    rest = data
    while rest:
        if len(rest) < _HEADER.size:
            raise NetlinkError(f"message header: found {len(rest)} bytes, want {_HEADER.size}")
        length, kind, flags, sequence, _ = _HEADER.unpack_from(rest)
        if not _HEADER.size <= length <= len(rest):
            raise NetlinkError(f"message length: found {length}, want up to {len(rest)}")
        body = rest[_HEADER.size : length]
        rest = rest[_aligned(length) :]
        if kind == _NLMSG_DONE:
            yield DumpDone(sequence, complete=not flags & _NLM_F_DUMP_INTR)
        elif kind == _RTM_NEWLINK:
            # The sequence number of an event is that of the request, of any process, that caused
            # it, so only parts of a dump keep theirs.
            yield from _link(body, sequence if flags & _NLM_F_MULTI else 0)
        elif kind == _RTM_DELLINK:
            yield from (LinkGone(link.index) for link in _link(body, 0))
        elif kind in (_RTM_NEWADDR, _RTM_DELADDR):
            part = sequence if flags & _NLM_F_MULTI else 0
            yield from _address(body, part, present=kind == _RTM_NEWADDR)


def _link(body: bytes, sequence: int) -> Iterator[Link]:
    if len(body) < _LINK.size:
        raise NetlinkError(f"link message: found {len(body)} bytes, want {_LINK.size}")
    family, hardware_type, index, flags, _ = _LINK.unpack_from(body)
    if family:
        return  # a bridge's message about its port: RTM_DELLINK means released by the bridge
    attributes = dict(_attributes(body[_LINK.size :]))
    yield Link(
        index=index,
        name=attributes.get(_IFLA_IFNAME, b"").rstrip(b"\0").decode(errors="replace"),
        hardware_type=hardware_type,
        flags=flags,
        mac=MacAddress(attributes.get(_IFLA_ADDRESS, b"")),
        master=_number(attributes.get(_IFLA_MASTER, b"")),
        carriers=_number(attributes.get(_IFLA_CARRIER_UP_COUNT, b"")),
        sequence=sequence,
    )


def _number(value: bytes) -> int:
    return int(_NUMBER.unpack(value)[0]) if len(value) == _NUMBER.size else 0


def _address(body: bytes, sequence: int, *, present: bool) -> Iterator[Address]:
    if len(body) < _ADDRESS.size:
        raise NetlinkError(f"address message: found {len(body)} bytes, want {_ADDRESS.size}")
    _, length, flags, scope, index = _ADDRESS.unpack_from(body)
    attributes = dict(_attributes(body[_ADDRESS.size :]))
    # On a point-to-point link IFA_ADDRESS is the other end's, which is the reachable address.
    address = attributes.get(_IFA_ADDRESS, b"")
    local = attributes.get(_IFA_LOCAL, address)
    sizes = {len(address), len(local)}
    if len(sizes) == 1 and sizes <= _ADDRESS_LENGTHS and length <= 8 * len(address):
        yield Address(index, address, length, scope, present, sequence, local, flags)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, position)
        if not _ATTRIBUTE.size <= length <= len(data) - position:
            raise NetlinkError(
                f"attribute length: found {length}, want up to {len(data) - position}"
            )
        yield kind & _TYPE_BITS, data[position + _ATTRIBUTE.size : position + length]
        position += _aligned(length)


def _aligned(length: int) -> int:
    return (length + 3) & ~3
