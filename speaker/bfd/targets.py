"""BFD sessions of a node, from the profiles that its BGP peers refer to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from metallb_py.addresses import IPAddress
from metallb_py.model.config import Config
from metallb_py.model.peers import BfdProfile, Peer, SessionParameters
from metallb_py.protocols.bfd.settings import Path, Settings

_MICROSECONDS = 1000
"""Microseconds in a millisecond."""


@dataclass(frozen=True, slots=True)
class BfdTargets:
    """The BFD sessions of a node, and the BGP sessions that end when one goes down."""

    settings: Mapping[Path, Settings] = field(default_factory=dict)
    peers: Mapping[Path, tuple[SessionParameters, ...]] = field(default_factory=dict)


def targets_for(
    config: Config, node_labels: Mapping[str, str], is_neighbor: Callable[[IPAddress], bool]
) -> BfdTargets:
    """Return the BFD sessions of a node with these labels.

    BGP sessions with one router share a BFD session; where they refer to several profiles, the
    first one is used, since two addresses have one BFD session at most (RFC 5881 section 3).
    ``is_neighbor`` returns whether an address is reached without a router in between.
    """
    profiles = {profile.name: profile for profile in config.bfd_profiles}
    settings: dict[Path, Settings] = {}
    peers: dict[Path, dict[SessionParameters, None]] = {}
    labels = dict(node_labels)
    for peer in config.peers:
        session = peer.session
        if peer.bfd_profile and session.address is not None and peer.selects(labels):
            multihop = _is_multihop(peer, session.address, is_neighbor)
            path = Path(session.address, session.source_address, multihop)
            settings.setdefault(path, settings_of(profiles[peer.bfd_profile]))
            peers.setdefault(path, {})[session] = None
    return BfdTargets(settings, {path: tuple(sessions) for path, sessions in peers.items()})


def settings_of(profile: BfdProfile) -> Settings:
    """Return a profile's settings. Values that it leaves out are FRR's defaults."""
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
    """Apply FRR's rule: iBGP is multihop unless a neighbor, eBGP where it is configured to be."""
    if peer.session.local_asn == peer.session.peer_asn:
        return not is_neighbor(address)
    return peer.ebgp_multihop
