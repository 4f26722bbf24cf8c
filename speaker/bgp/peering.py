"""Sessions that this node is to hold, by configuration and labels, and where it listens."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address

from metallb_py.addresses import IPAddress, join_host_port
from metallb_py.model.peers import Peer, SessionParameters
from metallb_py.model.routes import UNNAMED, PeerGroup


@dataclass(frozen=True, slots=True)
class ListenAt:
    """Address and port to listen on; an address of None stands for all of both families."""

    address: IPAddress | None = None
    port: int = 179

    def __str__(self) -> str:
        """``10.0.0.1:179``, ``[fd00::1]:179``, ``*:179``."""
        return join_host_port(self.address or "*", self.port)


@dataclass(frozen=True, slots=True)
class Peering:
    """Sessions that this node is to hold, and the routes that each gets."""

    sessions: tuple[SessionParameters, ...] = ()
    filtered: frozenset[SessionParameters] = frozenset()
    """Sessions that are configured, but excluded by this node's labels alone."""
    peer_groups: Mapping[SessionParameters, PeerGroup] = field(default_factory=dict)
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

    removed: tuple[tuple[SessionParameters, RemovalReason], ...]
    added: tuple[SessionParameters, ...]


def peering_for(
    peers: Iterable[Peer], node_labels: Mapping[str, str], named: frozenset[str] = frozenset()
) -> Peering:
    """Return the sessions of a node with these labels, in the order of the peers.

    ``named`` are the peers that advertisements refer to, by name or address.
    """
    selected: dict[SessionParameters, PeerGroup] = {}
    configured: dict[SessionParameters, None] = {}
    labels = dict(node_labels)
    for peer in peers:
        session = peer.session
        configured[session] = None
        if peer.selects(labels):
            names = named & {peer.name, str(session.address or "")}
            selected[session] = selected.get(session, UNNAMED) | names
    return Peering(tuple(selected), frozenset(configured.keys() - selected.keys()), selected)


def changes(running: Iterable[SessionParameters], wanted: Peering) -> PeeringChange:
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
