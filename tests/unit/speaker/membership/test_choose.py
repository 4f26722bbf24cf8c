"""Choice of a membership by its settings, and the capabilities of each."""

from __future__ import annotations

import json
from ipaddress import ip_address

import pytest

from metallb_py.kube.client import KubeClient
from metallb_py.kube.credentials import Access
from metallb_py.protocols.memberlist.codec.messages import Endpoint
from metallb_py.runtime.log import Level, Logger
from speaker.membership.choose import choose_membership
from speaker.membership.gossip import GossipMembership
from speaker.membership.interface import InterfacePublisher, Membership, PodObserver
from speaker.membership.io.lease_driver import LeaseMembership
from speaker.membership.ready_pods import ReadyPods
from speaker.membership.settings import GossipSettings, LeaseSettings, MembershipSettings
from speaker.metrics import SpeakerMetrics

GOSSIP = GossipSettings(Endpoint(ip_address("192.0.2.1"), 7946))


def chosen(settings: MembershipSettings) -> Membership:
    client = KubeClient(Access("http://192.0.2.1"))
    return choose_membership(settings, "node1", client, Logger(Level.INFO), SpeakerMetrics())


@pytest.mark.parametrize(
    ("settings", "kind", "observes_pods", "publishes_interfaces"),
    [
        pytest.param(GOSSIP, GossipMembership, True, True, id="memberlist"),
        pytest.param(LeaseSettings(), LeaseMembership, False, False, id="lease"),
        pytest.param(None, ReadyPods, True, False, id="none"),
    ],
)
async def test_each_setting_has_its_membership(
    settings: MembershipSettings,
    kind: type[Membership],
    observes_pods: bool,
    publishes_interfaces: bool,
) -> None:
    membership = chosen(settings)
    assert type(membership) is kind
    assert isinstance(membership, PodObserver) == observes_pods
    assert isinstance(membership, InterfacePublisher) == publishes_interfaces


async def test_absence_of_memberlist_is_logged_as_by_metallb(
    capfd: pytest.CaptureFixture[str],
) -> None:
    chosen(GOSSIP)
    chosen(LeaseSettings())
    assert not capfd.readouterr().out
    chosen(None)
    line = json.loads(capfd.readouterr().out)
    assert line["op"] == "startup"
    assert line["msg"].startswith("not starting fast dead node detection (memberlist)")
