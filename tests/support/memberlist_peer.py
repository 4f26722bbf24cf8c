"""Members on hashicorp/memberlist itself (``tests/interop/memberlist_peer``), and ours."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from support.parts import require
from support.patience import PATIENCE
from support.program import Program, program
from support.segment import Host

CURRENT = "0.5.3"
OLDEST = "0.1.7"
OURS = "ours"
PORT = 7946
SERF = (2, 5, 4)
"""The versions (least, most, current) of the application with which serf takes a member."""

Change = Literal["join", "leave", "update", "suspect", "trusted"]
"""What happens to a member. Only ours tell whom they suspect."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A member as another one sees it. ``state`` is only known from what is told at a join."""

    name: str
    address: str
    port: int
    meta: bytes
    state: str
    versions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Happened:
    """What happened to a member in an observer's eyes, at a moment of Unix time in seconds."""

    change: str
    at: float
    observer: str
    node: Seen


@dataclass(frozen=True, slots=True)
class Told:
    """What else the program says: how a command went, or what a member was told at a join."""

    event: str
    observer: str
    members: tuple[Seen, ...]
    count: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to run it. ``which`` of its host's addresses is its own. No preset: the usual one."""

    version: str = CURRENT
    which: int = 1
    ipv6: bool = False
    port: int = PORT
    count: int = 1
    key: bytes = b""
    label: str = ""
    meta: bytes = b""
    protocol: int = 2
    delegate: tuple[int, int, int] = (0, 0, 0)
    compression: bool = True
    preset: str = ""
    join: tuple[str, ...] = ()


class Peer:
    """A running one."""

    def __init__(self, process: Program, name: str, host: Host, options: Options) -> None:
        self.process = process
        self.name = name
        self.version = options.version
        self.ip = host.ipv6(options.which) if options.ipv6 else host.ipv4(options.which)
        self.address = (
            f"[{self.ip}]:{options.port}" if options.ipv6 else f"{self.ip}:{options.port}"
        )
        self._first = name if options.count == 1 else f"{name}-0"

    @property
    def now(self) -> int:
        """Return a mark: what comes after it is new."""
        return len(self.process.output)

    def history(self) -> list[Happened]:
        """Return all that happened to members so far in its eyes."""
        return [happened for line in self.process.output if (happened := self._happened(line))]

    def complaints(self) -> list[str]:
        """Return what the library has logged as wrong."""
        return [line for line in self.process.log if "[ERR]" in line or "[WARN]" in line]

    async def heard(
        self, event: str, after: int = 0, within: float = PATIENCE, *, observer: str = ""
    ) -> Told:
        """Wait until it (its first member, where nobody is named) says this."""

        def read(line: str) -> Told | None:
            told = _told(line)
            theirs = told.observer == (observer or self._first)
            return told if theirs and told.event == event else None

        return await self.process.find(self.process.output, read, after, within)

    async def saw(
        self, change: Change, name: str, after: int = 0, within: float = PATIENCE
    ) -> Happened:
        """Wait until a member joins, leaves or changes in its eyes (in the first one's)."""

        read = partial(self._change, change, name)
        return await self.process.find(self.process.output, read, after, within)

    async def knows(self, name: str, meta: bytes, within: float = PATIENCE) -> Happened:
        """Wait until it knows a member with this metadata."""

        def read(line: str) -> Happened | None:
            happened = self._happened(line)
            wanted = happened and (happened.node.name, happened.node.meta) == (name, meta)
            return happened if wanted else None

        return await self.process.find(self.process.output, read, within=within)

    async def keeps(self, name: str, seconds: float) -> None:
        """See that a member is not lost for so long."""
        await self.process.never(
            self.process.output, partial(self._change, "leave", name), self.now, seconds
        )

    async def suspects(self, name: str, within: float = PATIENCE) -> None:
        """Wait until it suspects a member."""
        if self.version == OURS:
            await self.saw("suspect", name, within=within)
        else:
            await self._logged(f"Suspect {name} has failed", within)

    async def refutes(self, reporter: str, within: float = PATIENCE) -> None:
        """Wait until it hears that it is suspected, and contradicts."""
        if self.version == OURS:
            await self.heard("accused", within=within)
        else:
            await self._logged(f"Refuting a suspect message (from: {reporter})", within)

    async def members(self) -> dict[str, Seen]:
        """Return who is a member in its eyes."""
        told = await self._ask("members", "members")
        return {seen.name: seen for seen in told.members}

    async def join(self, *addresses: str) -> int:
        """Join; return how many could be. Raises AssertionError where not all could."""
        return (await self._ask(f"join {' '.join(addresses)}", "joined")).count

    async def opinion_of(self, address: str) -> dict[str, Seen]:
        """Join another once more, which tells all it knows, also of members that are no more."""
        mark = self.now
        await self.join(address)
        told = await self.heard("merge", mark)
        return {seen.name: seen for seen in told.members}

    async def change(self, meta: bytes) -> None:
        """Change its metadata."""
        await self._ask(f"meta {meta.hex()}", "changed")

    async def leave(self) -> None:
        """Leave, and wait until others know. It goes on running, alone."""
        await self._ask("leave", "left")

    async def _logged(self, text: str, within: float) -> None:
        log = self.process.log
        await self.process.find(log, lambda s: s if text in s else None, within=within)

    def _change(self, change: Change, name: str, line: str) -> Happened | None:
        happened = self._happened(line)
        wanted = happened and (happened.change, happened.node.name) == (change, name)
        return happened if wanted else None

    def _happened(self, line: str) -> Happened | None:
        fields = json.loads(line)
        if fields["observer"] != self._first or "node" not in fields:
            return None
        return Happened(fields["event"], fields["at"], self._first, _seen(fields["node"]))

    async def _ask(self, command: str, answer: str) -> Told:
        mark = self.now
        self.process.tell(command)
        told = await self.heard(answer, mark)
        assert not told.error, told.error
        return told


@contextlib.asynccontextmanager
async def peer(host: Host, name: str, options: Options | None = None) -> AsyncIterator[Peer]:
    """Run one (or ``count``, called NAME-0 and so on, each joined to the first) on a host."""
    wanted = options or Options()
    command = [*_command(wanted.version), *_flags(host, name, wanted)]
    async with program(host.namespace, *command) as process:
        made = Peer(process, name, host, wanted)
        await made.heard("started")
        if wanted.count > 1:
            await made.heard("joined", observer=f"{name}-{wanted.count - 1}")
        if wanted.join:
            joined = await made.heard("joined")
            assert not joined.error, joined.error
        yield made


def _command(version: str) -> list[str]:
    if version == OURS:
        return [sys.executable, str(Path(__file__).with_name("gossip_member.py"))]
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    binary = base / "metallb-py/memberlist-peer" / version
    require(binary.exists(), f"{binary}: see .ci/memberlist-peer")
    return [str(binary)]


def _flags(host: Host, name: str, options: Options) -> Iterable[str]:
    yield from ("-name", name)
    yield from ("-bind", host.ipv6(options.which) if options.ipv6 else host.ipv4(options.which))
    yield from ("-port", str(options.port), "-count", str(options.count))
    yield from ("-key", options.key.hex(), "-label", options.label, "-meta", options.meta.hex())
    yield from ("-protocol", str(options.protocol))
    if options.preset:
        yield from ("-preset", options.preset)
    yield from ("-delegate", ",".join(map(str, options.delegate)))
    yield from (f"-compression={str(options.compression).lower()}",)
    yield from ("-join", ",".join(options.join))


def _told(line: str) -> Told:
    fields = json.loads(line)
    return Told(
        event=fields["event"],
        observer=fields["observer"],
        members=tuple(map(_seen, fields.get("members", ()))),
        count=fields["count"],
        error=fields["error"],
    )


def _seen(fields: dict[str, Any]) -> Seen:
    return Seen(
        name=fields["name"],
        address=fields["address"],
        port=fields["port"],
        meta=bytes.fromhex(fields["meta"]),
        state=fields.get("state", ""),
        versions=tuple(fields["versions"]),
    )
