"""Interface of a third-party router in tests: a session with the node in each family, its table."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar


@dataclass(frozen=True, slots=True)
class RouterSession:
    """Configuration of a router's sessions with the node: it listens, and the node connects."""

    asn: int = 64513
    """AS number of the router."""
    node_asn: int = 64512
    """AS number that the router expects of the node."""
    password: str = ""
    """TCP MD5 password; empty for none."""
    extended_next_hop: bool = False
    """Accept IPv4 prefixes with IPv6 next hops in the IPv6 session (RFC 8950)."""


@dataclass(frozen=True, slots=True)
class ReceivedRoute:
    """A route as the router received it; the numbers are those of the path attributes."""

    next_hop: str
    """NEXT_HOP, or the next hop of MP_REACH_NLRI."""
    as_path: tuple[int, ...]
    """The AS numbers of all segments, in order."""
    origin: str
    """``igp``, ``egp`` or ``incomplete``."""
    local_pref: int | None = None
    """LOCAL_PREF; None if absent."""
    med: int | None = None
    """MULTI_EXIT_DISC; None if absent."""
    communities: frozenset[tuple[int, int]] = frozenset()
    """COMMUNITIES (RFC 1997), high and low 16 bits."""
    large_communities: frozenset[tuple[int, int, int]] = frozenset()
    """LARGE_COMMUNITY (RFC 8092)."""


class Router(Protocol):
    """Another BGP implementation, run in a namespace."""

    async def start(self, parameters: RouterSession) -> None:
        """Start, and wait until the router accepts connections of the node."""

    async def restart(self) -> None:
        """Kill the router (SIGKILL), and start it again."""

    async def received_route(self, prefix: str) -> ReceivedRoute | None:
        """Return the received route of a prefix, None if there is none."""

    async def prefixes(self) -> set[str]:
        """Return the prefixes of both families in the table."""

    async def established_count(self, address: str) -> int:
        """Return how often the session with this node address was established since the start."""

    async def notification(self, address: str) -> tuple[int, int] | None:
        """Return code and subcode of the last NOTIFICATION received from this node address."""


class Stoppable(Protocol):
    """A router that is stopped at the end of a test."""

    async def stop(self) -> None:
        """Kill it if it runs."""


S = TypeVar("S", bound=Stoppable)


@contextlib.asynccontextmanager
async def provided(make: Callable[[str, Path], S], namespace: str) -> AsyncIterator[S]:
    """Provide a router in a namespace, not started yet, with a directory; stop it at the end."""
    with tempfile.TemporaryDirectory(prefix="metallb-router-") as name:
        router = make(namespace, Path(name))
        try:
            yield router
        finally:
            await router.stop()


class Daemon:
    """A program in a namespace, and its output."""

    def __init__(self, namespace: str, log: Path) -> None:
        self._namespace = namespace
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    async def spawn(self, *command: str) -> None:
        """Start the program; its output goes to its log file, which is truncated first."""
        with self._log.open("w") as log:
            self._process = await asyncio.create_subprocess_exec(
                "ip", "netns", "exec", self._namespace, *command,
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """The process ID; ``ip`` and ``env`` replace themselves by the program."""
        assert self._process is not None
        return self._process.pid

    async def kill(self) -> None:
        """Kill the program (SIGKILL) if it runs."""
        if self._process is not None:
            if self._process.returncode is None:
                self._process.kill()
            await self._process.wait()
            self._process = None

    async def output_of(self, *command: str) -> str:
        """Run another program in the same namespace; return its output."""
        process = await asyncio.create_subprocess_exec(
            "ip", "netns", "exec", self._namespace, *command,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        output, _ = await process.communicate()
        return output.decode()

    @property
    def log(self) -> list[str]:
        """The complete lines of its output."""
        return self._log.read_text().split("\n")[:-1]


class DaemonRouter(ABC):
    """A router that is one daemon."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    async def restart(self) -> None:
        await self.stop()
        await self._spawn()

    async def stop(self) -> None:
        """Kill it if it runs."""
        await self._daemon.kill()

    @abstractmethod
    async def _spawn(self) -> None:
        """Start with the written configuration, and wait until the router accepts connections."""
