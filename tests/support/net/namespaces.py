"""Network namespaces of a test, links between them, and the programs that run in them."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from support.net.requirements import require

_CLONE_NEWNET = 0x40000000
_numbers = itertools.count()


@contextlib.contextmanager
def namespaces(*roles: str, default: str = "") -> Iterator[list[str]]:
    """Create a namespace for each role, with ``lo`` up, for the length of a block.

    Yields their names, which are unique on the machine. ``default`` is a sysctl assignment below
    ``net.ipv6.conf.default``, made before there is any interface.
    """
    require(os.geteuid() == 0, "root, to make network namespaces")
    require(shutil.which("ip"), "ip, of iproute2")
    prefix = f"mpt{os.getpid()}-{next(_numbers)}"
    names = [f"{prefix}-{role}" for role in roles]
    with contextlib.ExitStack() as cleanup:
        for name in names:
            ip("netns", "add", name)
            cleanup.callback(ip, "netns", "del", name)
            if default:
                execute(name, "sysctl", "-qw", f"net.ipv6.conf.default.{default}")
            ip("-n", name, "link", "set", "lo", "up")
        yield names


def connect(one: str, other: str, name: str = "eth0", other_name: str = "eth0") -> None:
    """Create a veth pair between two namespaces; both ends are still down and have no address."""
    ip("-n", one, "link", "add", name, "type", "veth", "peer", other_name, "netns", other)


def add_address(namespace: str, address: str, device: str = "eth0") -> None:
    """Add an address with its prefix length; an IPv6 address is usable at once."""
    options = ("nodad",) if ":" in address else ()
    ip("-n", namespace, "address", "add", address, "dev", device, *options)


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


def ip(*arguments: str) -> str:
    """Run the ``ip`` program; return its output."""
    return run("ip", *arguments)


def execute(namespace: str, *command: str) -> str:
    """Run a program in a namespace; return its output."""
    return ip("netns", "exec", namespace, *command)


def run(*command: str) -> str:
    """Run a program; return its output. Raises CalledProcessError if it fails."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _set_namespace(libc: ctypes.CDLL, descriptor: int) -> None:
    if libc.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
