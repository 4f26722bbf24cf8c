"""From the configuration of a session to what the protocol runs on."""

from __future__ import annotations

from metallb_py.config.model import AddressFamily, DynamicAsn, Origin
from metallb_py.protocols.bgp import attributes, codes
from metallb_py.protocols.bgp.negotiation import Dynamic, Settings
from speaker.bgp.peering import PeerSession

RESTART_TIME = 120
"""Seconds that a peer keeps our routes for, where graceful restart is wanted: FRR's default."""


def settings_for(peer: PeerSession, node_name: str) -> Settings:
    """Return our side of this session; the node's name goes along for people to read."""
    return Settings(
        local_asn=peer.local_asn,
        peer_asn=None if peer.dynamic_asn is not None else peer.peer_asn,
        hold_time=peer.hold_time,
        keepalive_time=peer.keepalive_time,
        connect_time=peer.connect_time,
        dynamic=None if peer.dynamic_asn is None else _DYNAMIC[peer.dynamic_asn],
        origin=_ORIGINS[peer.origin],
        families=frozenset(_FAMILIES[family] for family in peer.address_families),
        next_hops=peer.next_hops,
        restart_time=RESTART_TIME if peer.graceful_restart else None,
        hostname=node_name,
    )


_DYNAMIC = {DynamicAsn.INTERNAL: Dynamic.INTERNAL, DynamicAsn.EXTERNAL: Dynamic.EXTERNAL}
_ORIGINS = {
    Origin.IGP: attributes.Origin.IGP,
    Origin.EGP: attributes.Origin.EGP,
    Origin.INCOMPLETE: attributes.Origin.INCOMPLETE,
}
_FAMILIES = {
    AddressFamily.IPV4: codes.AddressFamily.IPV4,
    AddressFamily.IPV6: codes.AddressFamily.IPV6,
}
