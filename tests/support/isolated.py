"""Work done in namespaces of its own, in a process that the lab's own machinery makes."""

from __future__ import annotations

import ctypes
import os
import pickle
import traceback
from collections.abc import Callable
from typing import TypeVar

from pyroute2 import NetNS
from support.parts import require

from metallb_py.lab.isolate import IsolationError, run_isolated
from metallb_py.lab.network import WIRE

T = TypeVar("T")
NOBODY = 65534
PR_SET_DUMPABLE = 4


def isolated(work: Callable[[], T], *, user: int = 0) -> T:
    """Do the work as process 1 of new namespaces, as this user; return its result.

    What it raises, the caller sees as an AssertionError with the traceback.
    """
    require(os.geteuid() == 0, "root, to make network namespaces")
    receiving, sending = os.pipe()
    child = os.fork()
    if child == 0:
        _become(user)
        os._exit(_isolate(work, sending))
    os.close(sending)
    with os.fdopen(receiving, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    assert said, "the isolated process said nothing"
    result, failure = pickle.loads(said)
    assert not failure, failure
    return result


def set_link(machine: str, state: str) -> None:
    """Cut a machine's cable (``down``) or mend it (``up``)."""
    with NetNS(machine) as links:
        links.link("set", index=links.link_lookup(ifname="eth0")[0], state=state)


def set_port(machine: str, state: str) -> None:
    """Cut a machine's cable at the switch, or mend it: the machine keeps its routes."""
    with NetNS(WIRE) as links:
        links.link("set", index=links.link_lookup(ifname=machine)[0], state=state)


def add_address(machine: str, address: str) -> None:
    """Give a machine one more address on the wire."""
    with NetNS(machine) as links:
        links.addr("add", index=links.link_lookup(ifname="eth0")[0], address=f"{address}/24")


def add_route(machine: str, destination: str, gateway: str) -> None:
    """Have a machine send packets for a destination through a gateway."""
    with NetNS(machine) as links:
        links.route("add", dst=destination, gateway=gateway)


def _become(user: int) -> None:
    if user != 0:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
        # As after exec: without this, /proc/self would still be root's.
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1)


def _isolate(work: Callable[[], T], pipe: int) -> int:
    def main(_: int) -> int:
        try:
            said = (work(), "")
        except BaseException:
            said = (None, traceback.format_exc())
        os.write(pipe, pickle.dumps(said))
        return 0

    try:
        return run_isolated(main)
    except IsolationError as error:
        os.write(pipe, pickle.dumps((None, str(error))))
        return 1
