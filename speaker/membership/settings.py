"""Settings of speaker membership. Apart, as ``speaker.cli`` needs them without the drivers."""

from __future__ import annotations

from dataclasses import dataclass, field

from metallb_py.protocols.memberlist.codec.keyring import KeyLength
from metallb_py.protocols.memberlist.codec.messages import Endpoint
from metallb_py.protocols.memberlist.settings import FAST, Settings

LEASE_NAMESPACE = "metallb-speaker-leases"
"""Namespace of the speakers' Leases: not that of the controller's, which no speaker may write."""


@dataclass(frozen=True, slots=True)
class GossipSettings:
    """Membership by memberlist: settings of this node's member of the gossip cluster."""

    bind: Endpoint
    """Bind address and port, UDP and TCP, at which the other members reach it."""
    secret: bytes = field(default=b"", repr=False)
    """The cluster's secret, from which the key is derived. If empty, nothing is encrypted."""
    key_bytes: KeyLength = 16
    """Bytes of the key that encrypts: 16 as in MetalLB up to 0.14.1, or 32 as later."""
    label: str = ""
    """Label of packets and streams, the same for the whole cluster. MetalLB sets none."""
    settings: Settings = FAST
    """Intervals and timeouts of memberlist."""


@dataclass(frozen=True, slots=True)
class LeaseSettings:
    """Membership by Leases."""

    namespace: str = LEASE_NAMESPACE
    """Namespace of the speakers' Leases."""


MembershipSettings = GossipSettings | LeaseSettings | None
"""Settings of the failure detector that decides which speakers are usable; None for Ready pods."""
