"""Which sessions this node is to hold, and what changes when configuration or labels do."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address

from metallb_py.addresses import IPAddress
from metallb_py.model.config import (
    BOTH_FAMILIES,
    AddressFamily,
    DynamicAsn,
    Origin,
    Peer,
)
from metallb_py.model.routes import UNNAMED, Audience
from metallb_py.protocols.bgp.codec import attributes, codes
from metallb_py.protocols.bgp.negotiation import Dynamic, Settings


@dataclass(frozen=True, slots=True)
class PeerSession:
    """What of a configured peer makes a session: if this stays, so does the session.

    Prints as MetalLB's ``peer`` label. Times are in seconds; the password never prints. The
    fields are those of ``Peer``, but for ``local_asn``: the number that the session runs with.
    """

    local_asn: int
    peer_asn: int
    address: IPAddress | None
    port: int = 179
    hold_time: int = 90
    keepalive_time: int | None = None
    router_id: IPAddress | None = None
    source_address: IPAddress | None = None
    password: str = field(default="", repr=False)
    interface: str = ""
    dynamic_asn: DynamicAsn | None = None
    origin: Origin = Origin.INCOMPLETE
    passive: bool = False
    ttl_security: int | None = None
    connect_time: int | None = None
    graceful_restart: bool = False
    address_families: frozenset[AddressFamily] = BOTH_FAMILIES
    next_hops: tuple[IPAddress, ...] = ()

    def __str__(self) -> str:
        """``10.0.0.1:179``, ``[fd00::1]:179``, ``[fe80::1%eth0]:179``, ``eth0:179``."""
        if self.address is None:
            return f"{self.interface}:{self.port}"
        zone = f"%{self.interface}" if self.interface else ""
        host = f"[{self.address}{zone}]" if self.address.version == 6 else str(self.address)
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Peering:
    """The sessions that this node is to hold, and those that only its labels forbid.

    ``audiences`` tell which routes each is to hear. A peer that only gets another name keeps its
    session.
    """

    sessions: tuple[PeerSession, ...] = ()
    filtered: frozenset[PeerSession] = frozenset()
    audiences: Mapping[PeerSession, Audience] = field(default_factory=dict)


class RemovalReason(StrEnum):
    """Why a session ends, in MetalLB's words."""

    REMOVED_FROM_CONFIG = "removedFromConfig"
    FILTERED_BY_NODE_SELECTOR = "filteredByNodeSelector"


@dataclass(frozen=True, slots=True)
class PeeringChange:
    """What to end, and why, and then what to begin."""

    removed: tuple[tuple[PeerSession, RemovalReason], ...]
    added: tuple[PeerSession, ...]


def peering_for(
    peers: Iterable[Peer], node_labels: Mapping[str, str], named: frozenset[str] = frozenset()
) -> Peering:
    """Return what these peers mean for a node with these labels, in the peers' order.

    ``named`` are those that advertisements name, by name or address.
    """
    selected: dict[PeerSession, Audience] = {}
    configured: dict[PeerSession, None] = {}
    labels = dict(node_labels)
    for peer in peers:
        session = session_of(peer)
        configured[session] = None
        if peer.selects(labels):
            names = named & {peer.name, str(peer.address or "")}
            selected[session] = selected.get(session, UNNAMED) | names
    return Peering(tuple(selected), frozenset(configured.keys() - selected.keys()), selected)


def changes(running: Iterable[PeerSession], wanted: Peering) -> PeeringChange:
    """Compare. What is running and still wanted is in neither part."""
    before, after = dict.fromkeys(running), dict.fromkeys(wanted.sessions)
    removed = tuple(
        (
            session,
            RemovalReason.FILTERED_BY_NODE_SELECTOR
            if session in wanted.filtered
            else RemovalReason.REMOVED_FROM_CONFIG,
        )
        for session in before
        if session not in after
    )
    return PeeringChange(removed, tuple(session for session in after if session not in before))


def router_id_for(
    configured: IPAddress | None,
    local: IPAddress,
    interface_ipv4: IPv4Address | None,
    node_name: str,
) -> IPv4Address:
    """Derive the BGP identifier as MetalLB does.

    The configured one; else the session's local IPv4 address; else, for an IPv6 session, the
    first IPv4 address of its interface; else the CRC-32 of the node's name, little-endian.
    """
    for candidate in (configured, local, interface_ipv4):
        if isinstance(candidate, IPv4Address):
            return candidate
    return IPv4Address(zlib.crc32(node_name.encode()).to_bytes(4, "little"))


def session_of(peer: Peer) -> PeerSession:
    """Return the session that a configured peer stands for."""
    return PeerSession(
        local_asn=peer.local_asn or peer.my_asn,
        peer_asn=peer.peer_asn,
        address=peer.address,
        port=peer.port,
        hold_time=peer.hold_time,
        keepalive_time=peer.keepalive_time,
        router_id=peer.router_id,
        source_address=peer.source_address,
        password=peer.password,
        interface=peer.interface,
        dynamic_asn=peer.dynamic_asn,
        origin=peer.origin,
        passive=peer.passive,
        ttl_security=peer.ttl_security,
        connect_time=peer.connect_time,
        graceful_restart=peer.graceful_restart,
        address_families=peer.address_families,
        next_hops=peer.next_hops,
    )


RESTART_TIME = 120
"""Seconds that a peer with graceful restart is asked to keep our routes, as FRR asks for."""


def settings_of(peer: PeerSession, hostname: str, node_uptime: float) -> Settings:
    """Return our side of a session with this peer.

    It is the kernel that forwards, with or without this daemon: unless the node itself has
    restarted, seconds ago, nothing of that was lost.
    """
    return Settings(
        local_asn=peer.local_asn,
        peer_asn=peer.peer_asn or None,
        hold_time=peer.hold_time,
        keepalive_time=peer.keepalive_time,
        connect_time=peer.connect_time,
        dynamic=_DYNAMIC[peer.dynamic_asn],
        origin=_ORIGINS[peer.origin],
        families=frozenset(_FAMILIES[family] for family in peer.address_families),
        next_hops=peer.next_hops,
        restart_time=RESTART_TIME if peer.graceful_restart else None,
        keeps_forwarding=node_uptime > RESTART_TIME,
        hostname=hostname,
    )


_DYNAMIC = {
    None: None,
    DynamicAsn.INTERNAL: Dynamic.INTERNAL,
    DynamicAsn.EXTERNAL: Dynamic.EXTERNAL,
}
_ORIGINS = {
    Origin.IGP: attributes.Origin.IGP,
    Origin.EGP: attributes.Origin.EGP,
    Origin.INCOMPLETE: attributes.Origin.INCOMPLETE,
}
_FAMILIES = {
    AddressFamily.IPV4: codes.AddressFamily.IPV4,
    AddressFamily.IPV6: codes.AddressFamily.IPV6,
}
