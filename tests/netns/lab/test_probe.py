"""A client's probe, against a kernel that answers for its own addresses."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pytest
from support.net.isolated import add_address, isolated
from support.net.waiting import TIMEOUT

from metallb_py.lab import network
from metallb_py.lab.network import NODES, ROUTER
from metallb_py.lab.probe import Probe
from metallb_py.lab.processes import LabError, Programs, wait_until

pytestmark = pytest.mark.netns
UNASSIGNED = "172.30.0.254"


def test_arp_answers_are_returned_by_mac_address() -> None:
    def look() -> tuple[list[str], str, bool, list[str], bool]:
        network.build()
        probe = Probe("client")
        try:
            return (
                probe.answers(ROUTER, 1.0),
                network.mac_of("router"),
                probe.has_answer(ROUTER, 5.0),
                probe.answers(UNASSIGNED, 0.2),
                probe.has_answer(UNASSIGNED, 0.2),
            )
        finally:
            probe.close()

    answers, mac, has_answer, none, has_none = isolated(look)
    assert answers == [mac]
    assert has_answer
    assert (none, has_none) == ([], False)


def test_duplicate_arp_answers_are_both_returned() -> None:
    def look() -> tuple[list[str], set[str]]:
        network.build()
        for node in NODES[:2]:
            add_address(node.name, UNASSIGNED)
        probe = Probe("client")
        try:
            return probe.answers(UNASSIGNED, 1.0), {network.mac_of(n.name) for n in NODES[:2]}
        finally:
            probe.close()

    answers, macs = isolated(look)
    assert len(answers) == 2
    assert set(answers) == macs


def test_pages() -> None:
    def look() -> list[str]:
        network.build()
        probe = Probe("client")
        with tempfile.TemporaryDirectory() as name, Programs(Path(name)) as programs:
            module = ["-m", "metallb_py.lab.page", "router", "80"]
            program = programs.start("page", sys.executable, *module, machine="router")
            wait_until("page", TIMEOUT, lambda: bool(probe.page(f"http://{ROUTER}/")), program)
            pages = [probe.page(f"http://{ROUTER}/any/path"), probe.page(f"http://{ROUTER}:81/")]
        probe.close()
        return pages

    assert isolated(look) == ["router\n", ""]


def test_ended_probe_raises_lab_error() -> None:
    def look() -> str:
        network.build()
        probe = Probe("client")
        probe.close()
        try:
            probe.page(f"http://{ROUTER}/")
        except LabError as error:
            return str(error)
        return "no error"

    assert isolated(look).startswith("the probe ended: ")
