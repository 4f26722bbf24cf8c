"""On which wires a node is: what each speaker tells the others of its interfaces."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network

import msgspec

from metallb_py.addresses import IPAddress, IPNetwork, parse_cidr
from metallb_py.model.config import Pool

ANNOTATION = "metallb.universe.tf/interfaces"
MAGIC = b"metallb-py/1:"
MAX_META = 512
"""Bytes of metadata at the most that memberlist has room for."""
MAC_BYTES = 6
INTERFACE_NAME = 16
"""The bytes that Linux has for an interface's name, with the zero at its end (IFNAMSIZ)."""
MAX_TEXT = 16_384
"""A longer annotation is not read: a node with so many subnets counts as being on all of them."""


@dataclass(frozen=True, slots=True)
class Wire:
    """An interface that answers: its name, its MAC address as text, the subnets it is on, and the
    addresses that are the node's own.

    Link-local ones are left out: every interface is on such a subnet, and they are not the same.
    """

    name: str
    mac: str
    subnets: tuple[IPNetwork, ...] = ()
    addresses: tuple[IPAddress, ...] = ()


class _Record(msgspec.Struct, frozen=True):
    mac: str
    subnets: list[str]


class _Packed(msgspec.Struct, frozen=True, array_like=True):
    name: str
    mac: bytes
    subnets: list[bytes]
    addresses: list[bytes] = []


def encode(wires: Iterable[Wire]) -> str:
    """Return a node's wires as the text of an annotation, without the node's own addresses.

    Others can write annotations as well, and an address that a node claims is announced by none.
    """
    records = {
        wire.name: _Record(wire.mac, [str(subnet) for subnet in wire.subnets]) for wire in wires
    }
    return msgspec.json.encode(records, order="sorted").decode()


def decode(text: str) -> tuple[Wire, ...] | None:
    """Read what ``encode`` made; None where it is something else, or nothing."""
    if not text or len(text) > MAX_TEXT:
        return None
    try:
        records = msgspec.json.decode(text, type=dict[str, _Record])
        found = tuple(
            Wire(name, record.mac, tuple(map(parse_cidr, record.subnets)))
            for name, record in sorted(records.items())
        )
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return found if all(_is_interface(wire.name) for wire in found) else None


def pack(wires: Iterable[Wire]) -> bytes:
    """Return a node's wires as metadata of a member, in few bytes.

    Where there is no room for the addresses, it has the subnets alone. Nothing where there are no
    wires, as such a node counts as being on every subnet, or where the subnets are too many: then
    its pod's annotation has them.
    """
    there = tuple(wires)
    without = tuple(replace(wire, addresses=()) for wire in there)
    tries = (_pack(there), _pack(without)) if there else ()
    return next((packed for packed in tries if len(packed) <= MAX_META), b"")


def _pack(wires: Iterable[Wire]) -> bytes:
    records = [
        _Packed(
            wire.name,
            bytes.fromhex(wire.mac.replace(":", "")),
            [bytes((net.prefixlen,)) + net.network_address.packed for net in wire.subnets],
            [address.packed for address in wire.addresses],
        )
        for wire in wires
    ]
    return MAGIC + msgspec.msgpack.encode(records)


def unpack(meta: bytes) -> tuple[Wire, ...] | None:
    """Read what ``pack`` made; None where it is something else: MetalLB's speakers tell nothing."""
    if not meta.startswith(MAGIC):
        return None
    try:
        records = msgspec.msgpack.decode(meta[len(MAGIC) :], type=list[_Packed])
        found = tuple(
            Wire(
                record.name,
                record.mac.hex(":"),
                tuple(ip_network((net[1:], net[0])) for net in record.subnets),
                tuple(map(ip_address, record.addresses)),
            )
            for record in records
            if _is_interface(record.name) and len(record.mac) == MAC_BYTES
        )
    except (msgspec.MsgspecError, ValueError, IndexError, RecursionError):
        return None
    names = {wire.name for wire in found}
    return found if len(names) == len(records) else None


def _is_interface(name: str) -> bool:
    """Whether Linux lets an interface be named so (net/core/dev.c, dev_valid_name)."""
    return (
        0 < len(name.encode()) < INTERFACE_NAME
        and name not in (".", "..")
        and name.isprintable()
        and not any(c in "/:" or c.isspace() for c in name)
    )


def has_interface_for(wires: Iterable[Wire], pool: Pool) -> bool:
    """Whether one of the interfaces may answer for the pool's addresses."""
    return any(pool.uses_interface(wire.name) for wire in wires)


def subnets_for(wires: Iterable[Wire], pool: Pool) -> frozenset[IPNetwork]:
    """Return the subnets on which a node with these wires may answer for the pool's addresses."""
    usable = (wire for wire in wires if pool.uses_interface(wire.name))
    return frozenset(subnet for wire in usable for subnet in wire.subnets)


def reached(subnets: Iterable[IPNetwork], addresses: Iterable[IPAddress]) -> int:
    """Return how many of the addresses are on one of the subnets."""
    there = tuple(subnets)
    return sum(any(address in subnet for subnet in there) for address in addresses)
