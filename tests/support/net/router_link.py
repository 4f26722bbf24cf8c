"""A veth pair for BGP tests: a node and a router, each in a network namespace.

The test enters the node's namespace, so that drivers under test run in the test process.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import shutil
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest
from support.net.timeouts import TIMEOUT

STRICT = os.environ.get("METALLB_PY_STRICT") == "1"
NODE = "10.77.0.1"
NODE_SECOND = "10.77.0.3"
ROUTER = "10.77.0.2"
NODE_V6 = "fd77::1"
ROUTER_V6 = "fd77::2"

T = TypeVar("T")

_CLONE_NEWNET = 0x40000000


def require(present: bool, what: str) -> None:
    """Skip the test if a requirement is missing; fail it if METALLB_PY_STRICT is 1."""
    if present:
        return
    if STRICT:
        pytest.fail(f"METALLB_PY_STRICT=1, and there is no {what}")
    pytest.skip(f"no {what}")


@dataclass(frozen=True)
class VethPair:
    """The names of the two network namespaces."""

    node: str
    router: str


@contextlib.contextmanager
def veth_pair() -> Iterator[VethPair]:
    """Create both namespaces and the link for the length of a block."""
    require(os.geteuid() == 0, "root, to make network namespaces")
    require(shutil.which("ip") is not None, "ip, of iproute2")
    names = VethPair(f"mbgp{os.getpid()}n", f"mbgp{os.getpid()}r")
    with contextlib.ExitStack() as cleanup:
        for name in (names.node, names.router):
            _ip("netns", "add", name)
            cleanup.callback(_ip, "netns", "del", name)
            _ip("-n", name, "link", "set", "lo", "up")
            _ip("netns", "exec", name, "sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0")
        _ip("-n", names.node, "link", "add", "eth0", "type", "veth", "peer", "eth0",
            "netns", names.router)  # fmt: skip
        for name, v4, v6 in ((names.node, NODE, NODE_V6), (names.router, ROUTER, ROUTER_V6)):
            _ip("-n", name, "address", "add", f"{v4}/24", "dev", "eth0")
            _ip("-n", name, "address", "add", f"{v6}/64", "dev", "eth0", "nodad")
            _ip("-n", name, "link", "set", "eth0", "up")
        _ip("-n", names.node, "address", "add", f"{NODE_SECOND}/24", "dev", "eth0")
        yield names


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Run a block with this thread, and the sockets that it opens, in a network namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with (
        Path("/proc/thread-self/ns/net").open("rb") as home,
        Path("/run/netns", namespace).open("rb") as away,
    ):
        _set_namespace(libc, away.fileno())
        try:
            yield
        finally:
            _set_namespace(libc, home.fileno())


async def eventually(
    query: Callable[[], Awaitable[T]], accept: Callable[[T], bool], within: float = TIMEOUT
) -> T:
    """Poll until a result is accepted, and return it; for state that offers no event to await.

    Raises AssertionError with the last result after ``within`` seconds.
    """
    deadline = time.monotonic() + within
    while not accept(result := await query()):
        assert time.monotonic() < deadline, f"still not after {within:g} s, but: {result}"
        await asyncio.sleep(0.02)
    return result


async def exists(path: Path, within: float = TIMEOUT) -> None:
    """Wait until a file exists."""

    path_exists = path.exists

    async def query() -> bool:
        return path_exists()

    await eventually(query, bool, within)


async def counter(namespace: str, name: str) -> int:
    """Return a network counter of the kernel (nstat) in a namespace."""
    command = ("ip", "netns", "exec", namespace, "nstat", "-asz", name)
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    output, _ = await process.communicate()
    return int(output.split()[-2])


def _set_namespace(libc: ctypes.CDLL, descriptor: int) -> None:
    if libc.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
