"""A serf agent, as another application on hashicorp/memberlist."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import shutil
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from support.net.program import Program, output, program
from support.net.requirements import require
from support.net.segment import Host
from support.net.waiting import TIMEOUT

PORT = 7946

Change = Literal["Join", "Failed", "Leave", "Update"]


@dataclass(frozen=True, slots=True)
class ObservedMember:
    """A member in the agent's view. Metadata not in serf's format is the tag ``role``."""

    address: str
    status: str
    tags: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of an agent."""

    ipv6: bool = False
    key: bytes = b""
    tags: Mapping[str, str] = field(default_factory=dict)
    profile: str = "lan"
    compression: bool = True
    join: tuple[str, ...] = ()


class Serf:
    """A running agent."""

    def __init__(self, process: Program, name: str, host: Host, options: Options) -> None:
        self.process = process
        self.name = name
        self.ip = host.ipv6() if options.ipv6 else host.ipv4()
        self.address = f"[{self.ip}]:{PORT}" if options.ipv6 else f"{self.ip}:{PORT}"
        self._host = host

    @property
    def now(self) -> int:
        """Return the number of lines so far, to be passed as ``after``."""
        return len(self.process.output)

    async def wait_change(
        self, change: Change, name: str, after: int = 0, within: float = TIMEOUT
    ) -> str:
        """Wait until it logs a change of a member."""
        return await self.logged(rf"serf: EventMember{change}: {re.escape(name)}\b", after, within)

    async def logged(self, pattern: str, after: int = 0, within: float = TIMEOUT) -> str:
        """Wait for a log line that matches a pattern."""
        wanted = re.compile(pattern)
        lines = self.process.output
        return await self.process.find(
            lines, lambda line: line if wanted.search(line) else None, after, within
        )

    def errors_and_warnings(self) -> list[str]:
        """Return the errors and warnings that it has logged."""
        return [line for line in self.process.output if "[ERR]" in line or "[WARN]" in line]

    async def members(self) -> dict[str, ObservedMember]:
        """Return its members, including those that left or failed, by name."""
        found = json.loads(await self._run_command("members", "-format=json"))["members"]
        return {
            one["name"]: ObservedMember(one["addr"], one["status"], one["tags"]) for one in found
        }

    async def join(self, *addresses: str) -> None:
        """Join these addresses. Raises AssertionError if that fails."""
        await self._run_command("join", *addresses)

    async def tag(self, key: str, value: str) -> None:
        """Change a tag, and with it the metadata."""
        await self._run_command("tags", "-set", f"{key}={value}")

    async def leave(self) -> None:
        """Leave, and wait for the end of the agent."""
        await self._run_command("leave")
        await self.process.gone()

    async def _run_command(self, command: str, *arguments: str) -> str:
        return await output(self._host.namespace, "serf", command, f"-rpc-addr={_RPC}", *arguments)


_RPC = "127.0.0.1:7373"


@contextlib.asynccontextmanager
async def serf(host: Host, name: str, options: Options | None = None) -> AsyncIterator[Serf]:
    """Run an agent on a host; only one can run there."""
    require(shutil.which("serf"), "serf")
    wanted = options or Options()
    async with program(host.namespace, "serf", "agent", *_flags(host, name, wanted)) as process:
        made = Serf(process, name, host, wanted)
        await made.logged("Serf agent starting")
        yield made


def _flags(host: Host, name: str, options: Options) -> Iterable[str]:
    yield f"-node={name}"
    yield f"-bind={f'[{host.ipv6()}]' if options.ipv6 else host.ipv4()}:{PORT}"
    yield f"-rpc-addr={_RPC}"
    yield f"-profile={options.profile}"
    yield "-log-level=debug"
    if not options.compression:
        yield "-disable-compression"
    if options.key:
        yield f"-encrypt={base64.b64encode(options.key).decode()}"
    for key, value in options.tags.items():
        yield f"-tag={key}={value}"
    for address in options.join:
        yield f"-join={address}"
