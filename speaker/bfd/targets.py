"""Which BGP sessions BFD watches, and how: from the profiles that the peers name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from metallb_py.addresses import IPAddress
from metallb_py.model.config import BfdProfile, Config, Peer
from metallb_py.protocols.bfd.settings import Path, Settings
from speaker.bgp.peering import PeerSession, session_of

_MICROSECONDS = 1000
"""In a millisecond."""


@dataclass(frozen=True, slots=True)
class Watching:
    """The BFD sessions of a node, and whose BGP sessions end when one goes down."""

    settings: Mapping[Path, Settings] = field(default_factory=dict)
    peers: Mapping[Path, tuple[PeerSession, ...]] = field(default_factory=dict)


def watching_for(
    config: Config, node_labels: Mapping[str, str], is_neighbor: Callable[[IPAddress], bool]
) -> Watching:
    """Return what the configuration means for a node with these labels.

    BGP sessions with one router share a BFD session; where they name several profiles, the first
    one holds, for between two addresses there is one BFD session at the most (RFC 5881 section 3).
    ``is_neighbor`` says of an address whether no router is on the way to it.
    """
    profiles = {profile.name: profile for profile in config.bfd_profiles}
    settings: dict[Path, Settings] = {}
    peers: dict[Path, dict[PeerSession, None]] = {}
    labels = dict(node_labels)
    for peer in config.peers:
        if peer.bfd_profile and peer.address is not None and peer.selects(labels):
            multihop = _is_multihop(peer, peer.address, is_neighbor)
            path = Path(peer.address, peer.source_address, multihop)
            settings.setdefault(path, settings_of(profiles[peer.bfd_profile]))
            peers.setdefault(path, {})[session_of(peer)] = None
    return Watching(settings, {path: tuple(sessions) for path, sessions in peers.items()})


def settings_of(profile: BfdProfile) -> Settings:
    """Return a profile's settings. What it does not say is as FRR has it."""
    plain = Settings()
    return Settings(
        transmit_interval=_interval(profile.transmit_interval, plain.transmit_interval),
        receive_interval=_interval(profile.receive_interval, plain.receive_interval),
        detect_multiplier=profile.detect_multiplier or plain.detect_multiplier,
        echo_interval=_interval(profile.echo_interval, plain.echo_interval),
        echo=profile.echo_mode,
        passive=profile.passive_mode,
        minimum_ttl=profile.minimum_ttl or plain.minimum_ttl,
    )


def _interval(milliseconds: int | None, otherwise: int) -> int:
    return otherwise if milliseconds is None else milliseconds * _MICROSECONDS


def _is_multihop(peer: Peer, address: IPAddress, is_neighbor: Callable[[IPAddress], bool]) -> bool:
    """FRR's rule: a router of the own AS may be anywhere, another one where it is said to be."""
    if peer.my_asn == peer.peer_asn:
        return not is_neighbor(address)
    return peer.ebgp_multihop
