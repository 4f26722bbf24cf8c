"""A function run in new namespaces, in a process that the lab's code creates; links of the lab."""

from __future__ import annotations

import ctypes
import os
import pickle
import traceback
from collections.abc import Callable
from typing import TypeVar

from pyroute2 import NetNS
from support.net.requirements import require

from metallb_py.lab.isolate import IsolationError, run_isolated
from metallb_py.lab.network import WIRE

T = TypeVar("T")
NOBODY = 65534
PR_SET_DUMPABLE = 4


def isolated(work: Callable[[], T], *, user: int = 0) -> T:
    """Run a function as process 1 of new namespaces, as this user; return its result.

    An exception of it is raised as an AssertionError with its traceback.
    """
    require(os.geteuid() == 0, "root, to make network namespaces")
    receiving, sending = os.pipe()
    child = os.fork()
    if child == 0:
        _become(user)
        os._exit(_isolate(work, sending))
    os.close(sending)
    with os.fdopen(receiving, "rb") as pipe:
        outcome = pipe.read()
    os.waitpid(child, 0)
    assert outcome, "the isolated process returned nothing"
    result, failure = pickle.loads(outcome)
    assert not failure, failure
    return result


def set_link(machine: str, state: str) -> None:
    """Set the link of a machine ``down`` or ``up``, at the machine's end."""
    with NetNS(machine) as links:
        links.link("set", index=links.link_lookup(ifname="eth0")[0], state=state)


def set_port(machine: str, state: str) -> None:
    """Set the link of a machine ``down`` or ``up`` at the switch: the machine keeps its routes."""
    with NetNS(WIRE) as links:
        links.link("set", index=links.link_lookup(ifname=machine)[0], state=state)


def add_address(machine: str, address: str) -> None:
    """Add an address to a machine's interface on the shared segment."""
    with NetNS(machine) as links:
        links.addr("add", index=links.link_lookup(ifname="eth0")[0], address=f"{address}/24")


def add_route(machine: str, destination: str, gateway: str) -> None:
    """Add a route to a machine."""
    with NetNS(machine) as links:
        links.route("add", dst=destination, gateway=gateway)


def _become(user: int) -> None:
    if user != 0:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
        # As after exec: without this, /proc/self would remain root's.
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1)


def _isolate(work: Callable[[], T], pipe: int) -> int:
    def main(_: int) -> int:
        try:
            outcome = (work(), "")
        except BaseException:
            outcome = (None, traceback.format_exc())
        os.write(pipe, pickle.dumps(outcome))
        return 0

    try:
        return run_isolated(main)
    except IsolationError as error:
        os.write(pipe, pickle.dumps((None, str(error))))
        return 1
