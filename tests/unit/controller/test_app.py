"""Bookkeeping of the leading controller on writes that fail, without an API server."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.kube.objects import service

from controller.app import App
from controller.drivers.service_status import RetryDue, Written
from controller.metrics import ControllerMetrics
from controller.options import Options
from metallb_py.kube.client import KubeClient
from metallb_py.kube.configmap import Update, read
from metallb_py.kube.credentials import Access
from metallb_py.kube.objects import Service
from metallb_py.kube.reflector import Changed, Synced
from metallb_py.runtime.flags import CommonOptions
from metallb_py.runtime.log import Level, Logger

KEY = "default/web"
POOL = "address-pools: [{name: a, protocol: layer2, addresses: [192.0.2.0/30]}]"


class Leader:
    """An App that was started with one pool and one service, and has performed no write yet."""

    def __init__(self) -> None:
        self.metrics = ControllerMetrics()
        options = Options(CommonOptions("", 0, "config", "metallb-system", "", Level.NONE), "")
        client = KubeClient(Access("http://192.0.2.9"))
        self.app = App(options, client, Logger(Level.NONE), self.metrics)
        self.app._configure(Update(read(POOL)))
        self.change(service())
        self.app._on_service(Synced())

    def change(self, item: Service | None) -> None:
        self.app._on_service(Changed(KEY, None, item))

    def allocations(self) -> float:
        page = self.metrics.render()[0].decode()
        (count,) = (
            sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
            if sample.name == "metallb_controller_allocation_seconds_count"
        )
        return count


@pytest.fixture
def leader() -> Leader:
    return Leader()


def test_written_address_is_an_observation_of_the_allocation_time(leader: Leader) -> None:
    leader.app._on_status(Written(KEY))
    assert leader.allocations() == 1
    leader.app._on_status(Written(KEY))
    assert leader.allocations() == 1


def test_address_that_was_lost_before_it_was_written_is_no_allocation(leader: Leader) -> None:
    """Users can create and change services of ever new names: nothing of them may remain."""
    leader.change(service(kind="ClusterIP", version="2"))
    assert not leader.app._unwritten
    leader.app._on_status(Written(KEY))
    assert leader.allocations() == 0


@pytest.mark.parametrize("item", [None, service(kind="ClusterIP", version="2")])
def test_failures_of_a_service_without_a_status_to_write_are_forgotten(
    leader: Leader, item: Service | None
) -> None:
    """The write that failed was still in progress when the service was deleted or changed."""
    queue = leader.app._statuses._queue
    leader.change(item)
    queue._failures[KEY] = 3
    leader.app._on_status(RetryDue(KEY))
    assert not queue._failures


def test_failures_of_a_service_with_a_status_to_write_are_counted_on(leader: Leader) -> None:
    queue = leader.app._statuses._queue
    queue._failures[KEY] = 3
    leader.app._on_status(RetryDue(KEY))
    assert queue._failures == {KEY: 3}
