"""Interfaces of each node with their subnets, as speakers publish them to each other.

By two ways: the metadata of a memberlist member (``pack``, ``unpack``) and an annotation on the
speaker's pod (``encode``, ``decode``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network

import msgspec

from metallb_py.addresses import IPAddress, IPNetwork, parse_cidr
from metallb_py.kube.annotation_names import PREFIX
from metallb_py.model.config import Pool

ANNOTATION = f"{PREFIX}/interfaces"
MAGIC = b"metallb-py/1:"
MAX_META = 512
"""Size limit of a member's metadata in memberlist, in bytes."""
MAC_BYTES = 6
INTERFACE_NAME = 16
"""Size of an interface's name in Linux, in bytes, with the terminating zero (IFNAMSIZ)."""
MAX_TEXT = 16_384
"""Characters; a longer annotation is ignored, and the node counts as being on every subnet."""


@dataclass(frozen=True, slots=True)
class NodeInterface:
    """An interface that answers: its name, MAC address as text, subnets, and own addresses.

    Link-local subnets and addresses are left out: every interface has one, and equal prefixes on
    two links are not the same subnet.
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


def encode(interfaces: Iterable[NodeInterface]) -> str:
    """Return a node's interfaces as the text of an annotation, without the node's own addresses.

    Other clients of the API server can write annotations, too, and an address that a node
    publishes as its own is announced by no node.
    """
    records = {
        each.name: _Record(each.mac, [str(subnet) for subnet in each.subnets])
        for each in interfaces
    }
    return msgspec.json.encode(records, order="sorted").decode()


def decode(text: str) -> tuple[NodeInterface, ...] | None:
    """Decode the text that ``encode`` made; None for an empty or any other text."""
    if not text or len(text) > MAX_TEXT:
        return None
    try:
        records = msgspec.json.decode(text, type=dict[str, _Record])
        found = tuple(
            NodeInterface(name, record.mac, tuple(map(parse_cidr, record.subnets)))
            for name, record in sorted(records.items())
        )
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return found if all(_is_interface(each.name) for each in found) else None


def pack(interfaces: Iterable[NodeInterface]) -> bytes:
    """Return a node's interfaces as metadata of a member, in up to MAX_META bytes.

    Without the addresses, if those do not fit. Empty if there are no interfaces, as such a node
    counts as being on every subnet, or if the subnets do not fit: other speakers then read the
    annotation of its pod.
    """
    complete = tuple(interfaces)
    without = tuple(replace(each, addresses=()) for each in complete)
    attempts = (_pack(complete), _pack(without)) if complete else ()
    return next((packed for packed in attempts if len(packed) <= MAX_META), b"")


def _pack(interfaces: Iterable[NodeInterface]) -> bytes:
    records = [
        _Packed(
            each.name,
            bytes.fromhex(each.mac.replace(":", "")),
            [bytes((net.prefixlen,)) + net.network_address.packed for net in each.subnets],
            [address.packed for address in each.addresses],
        )
        for each in interfaces
    ]
    return MAGIC + msgspec.msgpack.encode(records)


def unpack(meta: bytes) -> tuple[NodeInterface, ...] | None:
    """Decode the metadata that ``pack`` made; None for any other.

    MetalLB's speakers send no metadata.
    """
    if not meta.startswith(MAGIC):
        return None
    try:
        records = msgspec.msgpack.decode(meta[len(MAGIC) :], type=list[_Packed])
        found = tuple(
            NodeInterface(
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
    names = {each.name for each in found}
    return found if len(names) == len(records) else None


def _is_interface(name: str) -> bool:
    """Whether Linux allows this name for an interface (net/core/dev.c, dev_valid_name)."""
    return (
        0 < len(name.encode()) < INTERFACE_NAME
        and name not in (".", "..")
        and name.isprintable()
        and not any(c in "/:" or c.isspace() for c in name)
    )


def has_interface_for(interfaces: Iterable[NodeInterface], pool: Pool) -> bool:
    """Whether one of the interfaces may answer for the pool's addresses."""
    return any(pool.uses_interface(each.name) for each in interfaces)


def subnets_for(interfaces: Iterable[NodeInterface], pool: Pool) -> frozenset[IPNetwork]:
    """Return the subnets of those interfaces that may answer for the pool's addresses."""
    usable = (each for each in interfaces if pool.uses_interface(each.name))
    return frozenset(subnet for each in usable for subnet in each.subnets)


def reached(subnets: Iterable[IPNetwork], addresses: Iterable[IPAddress]) -> int:
    """Return the number of addresses that are on one of the subnets."""
    networks = tuple(subnets)
    return sum(any(address in network for network in networks) for address in addresses)
