"""An API server that hangs: requests are neither refused nor answered."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support.kube.rig import Rig
from support.net.waiting import poll_until

from metallb_py.lab.network import NODES
from metallb_py.lab.processes import pid_file

pytestmark = pytest.mark.e2e
ALL_NODES = {node.address for node in NODES}
FROZEN_SECONDS = 5.0


@contextmanager
def frozen_api_server(rig: Rig) -> Iterator[None]:
    process = int(pid_file(rig.lab.folder, "apiserver").read_text())
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def test_hanging_api_server_withdraws_nothing_and_is_followed_again(rig: Rig) -> None:
    rig.add_service("hung-l2", "wire")
    rig.add_service("hung-bgp", "routed")
    wire, routed = (poll_until(lambda n=n: rig.address(n)) for n in ("hung-l2", "hung-bgp"))
    owner = poll_until(lambda: rig.owner(wire))
    poll_until(lambda: rig.next_hops(routed) == ALL_NODES)
    poll_until(lambda: rig.page(routed), what="a page")
    sessions = rig.sessions_established()
    with frozen_api_server(rig):
        until = time.monotonic() + FROZEN_SECONDS
        while time.monotonic() < until:
            assert rig.owner(wire) == owner
            assert rig.next_hops(routed) == ALL_NODES
            assert rig.page(wire)
            assert rig.page(routed)
    rig.add_service("thawed", "routed")
    address = poll_until(lambda: rig.address("thawed"), what="an address in status")
    poll_until(lambda: rig.next_hops(address) == ALL_NODES)
    assert rig.owner(wire) == owner
    assert rig.sessions_established() == sessions
    rig.kubectl("delete", "service", "thawed", "hung-l2", "hung-bgp")
