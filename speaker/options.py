"""What the speaker can be asked for."""

from __future__ import annotations

from dataclasses import dataclass

from metallb_py.runtime.flags import CommonOptions
from speaker.bgp.settings import ListenAt
from speaker.bgp.shutdown import DRAIN_TIME, OnStop
from speaker.layer2.candidates import DEFAULT, Rules
from speaker.membership.settings import LEASE_NAMESPACE, GossipSettings, Kind
from speaker.responder.settings import Settings


@dataclass(frozen=True, slots=True)
class Options:
    """What the speaker was asked for.

    ``speaker_labels`` select the pods of the other speakers, in the speaker's own namespace.
    ``gossip`` is there where ``membership`` wants it. ``drain_time`` is how many seconds BGP
    peers have to find other ways, between GRACEFUL_SHUTDOWN and the withdrawal. ``bgp_listen`` is
    where BGP peers may connect to, None for nowhere. ``lease_namespace`` has the speakers' Leases.
    """

    common: CommonOptions
    node_name: str
    load_balancer_class: str
    speaker_labels: str
    disable_endpoint_slices: bool
    layer2: Settings
    membership: Kind
    gossip: GossipSettings | None = None
    rules: Rules = DEFAULT
    on_stop: OnStop = OnStop.AUTO
    drain_time: float = DRAIN_TIME
    bgp_listen: ListenAt | None = None
    lease_namespace: str = LEASE_NAMESPACE
