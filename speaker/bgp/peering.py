"""Sessions that this node is to hold, by configuration and labels, and changes of them."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address

from metallb_py.addresses import IPAddress, join_host_port
from metallb_py.model.config import (
    BOTH_FAMILIES,
    AddressFamily,
    DynamicAsn,
    Origin,
    Peer,
)
from metallb_py.model.routes import UNNAMED, PeerGroup
from metallb_py.protocols.bgp.codec import attributes, codes
from metallb_py.protocols.bgp.negotiation import Dynamic, Settings


@dataclass(frozen=True, slots=True)
class PeerSession:
    """Session parameters of a configured peer. A session runs on while they are equal.

    ``str`` of it is MetalLB's ``peer`` label. The fields are those of ``Peer``, except for
    ``local_asn``.
    """

    local_asn: int
    """AS number of our side in this session: the peer's ``local_asn``, else its ``my_asn``."""
    peer_asn: int
    """AS number of the peer; 0 where ``dynamic_asn`` is set."""
    address: IPAddress | None
    """Address of the peer; None for an unnumbered peer, at the other end of ``interface``."""
    port: int = 179
    """TCP port that is connected to."""
    hold_time: int = 90
    """Proposed hold time in seconds; 0 for none. The lower one of both sides is used."""
    keepalive_time: int | None = None
    """Seconds between KEEPALIVE messages; None for a third of the hold time."""
    router_id: IPAddress | None = None
    """BGP identifier of our side; None to derive it (``router_id_for``)."""
    source_address: IPAddress | None = None
    """Local address of the connection; None if the kernel chooses it."""
    password: str = field(default="", repr=False)
    """Key of TCP MD5 (RFC 2385); empty for none. ``repr`` leaves it out."""
    interface: str = ""
    """Interface of a link-local address, or of an unnumbered peer."""
    dynamic_asn: DynamicAsn | None = None
    """AS numbers that are accepted, where ``peer_asn`` is 0."""
    origin: Origin = Origin.INCOMPLETE
    """ORIGIN of our routes (RFC 4271 section 5.1.1)."""
    passive: bool = False
    """Whether only the peer connects."""
    ttl_security: int | None = None
    """Greatest number of hops to the peer (RFC 5082); None for no limit."""
    connect_time: int | None = None
    """Seconds between attempts to connect; None for MetalLB's growing delays."""
    graceful_restart: bool = False
    """Whether the peer is asked to keep the routes while the speaker restarts (RFC 4724)."""
    address_families: frozenset[AddressFamily] = BOTH_FAMILIES
    """Families that are offered to the peer."""
    next_hops: tuple[IPAddress, ...] = ()
    """Next hops in place of the session's own addresses, at most one of each family."""

    def __str__(self) -> str:
        """``10.0.0.1:179``, ``[fd00::1]:179``, ``[fe80::1%eth0]:179``, ``eth0:179``."""
        if self.address is None:
            return f"{self.interface}:{self.port}"
        zone = f"%{self.interface}" if self.interface and self.address.version == 6 else ""
        return join_host_port(f"{self.address}{zone}", self.port)


@dataclass(frozen=True, slots=True)
class Peering:
    """Sessions that this node is to hold, and the routes that each gets."""

    sessions: tuple[PeerSession, ...] = ()
    filtered: frozenset[PeerSession] = frozenset()
    """Sessions that are configured, but excluded by this node's labels alone."""
    peer_groups: Mapping[PeerSession, PeerGroup] = field(default_factory=dict)
    """The group of peers that each session belongs to, which selects its routes.

    It is not part of a session: a peer whose name alone changes keeps its session.
    """


class RemovalReason(StrEnum):
    """Reason for the end of a session; the values are MetalLB's."""

    REMOVED_FROM_CONFIG = "removedFromConfig"
    FILTERED_BY_NODE_SELECTOR = "filteredByNodeSelector"


@dataclass(frozen=True, slots=True)
class PeeringChange:
    """Sessions to end, each with the reason, and sessions to start after that."""

    removed: tuple[tuple[PeerSession, RemovalReason], ...]
    added: tuple[PeerSession, ...]


def peering_for(
    peers: Iterable[Peer], node_labels: Mapping[str, str], named: frozenset[str] = frozenset()
) -> Peering:
    """Return the sessions of a node with these labels, in the order of the peers.

    ``named`` are the peers that advertisements refer to, by name or address.
    """
    selected: dict[PeerSession, PeerGroup] = {}
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
    """Return the difference. A session that runs and is still wanted is in neither part."""
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
    """Return the session of a configured peer."""
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
"""Restart time (RFC 4724) in seconds, for which a peer is asked to keep our routes, as by FRR."""


def settings_of(peer: PeerSession, hostname: str, node_uptime: float) -> Settings:
    """Return the settings of our side of a session with this peer.

    ``node_uptime`` is in seconds. The kernel forwards packets whether this daemon runs or not. So
    the forwarding state was preserved (RFC 4724), unless the node itself restarted less than
    RESTART_TIME seconds ago.
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
