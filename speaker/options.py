"""Options of the speaker; apart from ``cli``, which parses them, as ``app`` stands below it."""

from __future__ import annotations

from dataclasses import dataclass

from metallb_py.runtime.flags import CommonOptions
from speaker.bgp.peering import ListenAt
from speaker.bgp.shutdown import DRAIN_TIME, OnStop
from speaker.layer2.candidates import DEFAULT, Rules
from speaker.membership.settings import MembershipSettings
from speaker.responder.settings import Settings


@dataclass(frozen=True, slots=True)
class Options:
    """The speaker's options."""

    common: CommonOptions
    """Options that the controller has, too."""
    node_name: str
    """Name of the Node object that this speaker runs on."""
    load_balancer_class: str
    """``spec.loadBalancerClass`` of the Services to announce; empty for those without a class."""
    speaker_labels: str
    """Label selector of the speakers' pods, in the speaker's own namespace."""
    disable_endpoint_slices: bool
    """Whether to read Endpoints in place of EndpointSlices."""
    layer2: Settings
    """Settings of the layer 2 responder."""
    membership: MembershipSettings
    """The failure detector that decides which speakers are usable."""
    rules: Rules = DEFAULT
    """Which nodes are excluded or drained."""
    on_stop: OnStop = OnStop.AUTO
    """How BGP sessions end when the speaker terminates."""
    drain_time: float = DRAIN_TIME
    """Seconds between GRACEFUL_SHUTDOWN and the withdrawal, in which peers select other paths."""
    bgp_listen: ListenAt | None = None
    """Where to accept BGP connections; None accepts none."""
