"""Choice of a Membership by its settings. Apart, as it alone imports every implementation."""

from __future__ import annotations

import random
import uuid
from functools import partial
from typing import assert_never

from metallb_py.kube.client import KubeClient
from metallb_py.runtime.log import Logger
from metallb_py.runtime.object_reports import ObjectReporter
from speaker.membership.gossip import GossipMembership
from speaker.membership.interface import Membership
from speaker.membership.io.lease_driver import Holder, LeaseMembership, log_event
from speaker.membership.ready_pods import ReadyPods
from speaker.membership.settings import GossipSettings, LeaseSettings, MembershipSettings
from speaker.metrics import MemberMetrics, SpeakerMetrics


def choose_membership(
    settings: MembershipSettings,
    node: str,
    client: KubeClient,
    log: Logger,
    metrics: SpeakerMetrics,
) -> Membership:
    """Return the membership of this node. Call it on the event loop that will run it."""
    match settings:
        case GossipSettings():
            return GossipMembership(node, settings, log, MemberMetrics(metrics))
        case LeaseSettings(namespace):
            objects = ObjectReporter(log, metrics, lambda _: None, ())
            holder = Holder(namespace, node, f"{node}_{uuid.uuid4()}")
            return LeaseMembership(client, holder, partial(log_event, log, objects), random.random)
        case None:
            log.info(
                "not starting fast dead node detection (memberlist), need ml-bindaddr / "
                "ml-labels config",
                op="startup",
            )
            return ReadyPods()
        case _:
            assert_never(settings)
