"""What tests ask of any router: a session with the node in each family, and what it was told."""

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
class Terms:
    """How a router is to meet the node, over either family: it waits, and the node dials.

    ``extended_next_hop``: over IPv6 it takes IPv4 prefixes with IPv6 next hops (RFC 8950).
    """

    asn: int = 64513
    node_asn: int = 64512
    password: str = ""
    extended_next_hop: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """What a router knows of a prefix. Numbers as in BGP, None where nothing was said."""

    next_hop: str
    as_path: tuple[int, ...]
    origin: str
    local_pref: int | None = None
    med: int | None = None
    communities: frozenset[tuple[int, int]] = frozenset()
    large_communities: frozenset[tuple[int, int, int]] = frozenset()


class Router(Protocol):
    """Another implementation, run by hand in a namespace."""

    async def start(self, terms: Terms) -> None:
        """Start, and wait until it would answer the node."""

    async def restart(self) -> None:
        """Kill it as a crash would, and start it anew."""

    async def told(self, prefix: str) -> Told | None:
        """Return what it knows of a prefix."""

    async def prefixes(self) -> set[str]:
        """Return every prefix of both families."""

    async def ups(self, address: str) -> int:
        """Return how often the session with this address of the node came up since it started."""

    async def notification(self, address: str) -> tuple[int, int] | None:
        """Return code and subcode of the last NOTIFICATION that this address of the node sent."""


class Stoppable(Protocol):
    """What is left running is stopped in the end."""

    async def stop(self) -> None:
        """Kill it, if it runs."""


S = TypeVar("S", bound=Stoppable)


@contextlib.asynccontextmanager
async def provided(make: Callable[[str, Path], S], namespace: str) -> AsyncIterator[S]:
    """Provide a router of a namespace, with a directory, that is not started yet; clean up."""
    with tempfile.TemporaryDirectory(prefix="metallb-router-") as name:
        router = make(namespace, Path(name))
        try:
            yield router
        finally:
            await router.stop()


class Daemon:
    """A program in a namespace, and what it printed."""

    def __init__(self, namespace: str, log: Path) -> None:
        self._namespace = namespace
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    async def spawn(self, *command: str) -> None:
        """Start it. What it prints is found in its log, of which nothing older is left."""
        with self._log.open("w") as log:
            self._process = await asyncio.create_subprocess_exec(
                "ip", "netns", "exec", self._namespace, *command,
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """The process, which ``ip`` and ``env`` become."""
        assert self._process is not None
        return self._process.pid

    async def kill(self) -> None:
        """End it as a crash would, if it runs."""
        if self._process is not None:
            if self._process.returncode is None:
                self._process.kill()
            await self._process.wait()
            self._process = None

    async def ask(self, *command: str) -> str:
        """Run another program beside it, and return what that prints."""
        process = await asyncio.create_subprocess_exec(
            "ip", "netns", "exec", self._namespace, *command,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        output, _ = await process.communicate()
        return output.decode()

    @property
    def log(self) -> list[str]:
        """The whole lines that it printed."""
        return self._log.read_text().split("\n")[:-1]


class DaemonRouter(ABC):
    """A router that is one daemon."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    async def restart(self) -> None:
        await self.stop()
        await self._spawn()

    async def stop(self) -> None:
        """Kill it, if it runs."""
        await self._daemon.kill()

    @abstractmethod
    async def _spawn(self) -> None:
        """Start it with the configuration that was written, and wait until it would answer."""
