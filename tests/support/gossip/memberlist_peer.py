"""Members on hashicorp/memberlist (``tests/interop/memberlist_peer``) and on our driver."""

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

from support.net.program import Program, program
from support.net.requirements import require
from support.net.segment import Host
from support.net.waiting import TIMEOUT

CURRENT = "0.5.3"
OLDEST = "0.1.7"
OURS = "ours"
PORT = 7946
SERF = (2, 5, 4)
"""The delegate protocol versions (minimum, maximum, current) that serf accepts of a member."""

Change = Literal["join", "leave", "update", "suspect", "trusted"]
"""The kinds of changes of a member. Only ours report ``suspect`` and ``trusted``."""


@dataclass(frozen=True, slots=True)
class ObservedMember:
    """A member in another member's view. ``state`` is only known from a push-pull."""

    name: str
    address: str
    port: int
    meta: bytes
    state: str
    versions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class MemberChange:
    """A change of a member as an observer reported it; ``at`` is Unix time in seconds."""

    change: str
    at: float
    observer: str
    node: ObservedMember


@dataclass(frozen=True, slots=True)
class PeerEvent:
    """Any other event of the program: the result of a command, or of a push-pull (``merge``)."""

    event: str
    observer: str
    members: tuple[ObservedMember, ...]
    count: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of a member program."""

    version: str = CURRENT
    """Version of hashicorp/memberlist, or ``OURS``."""
    which: int = 1
    """Number of the address of its host that it binds to."""
    ipv6: bool = False
    """Bind to an IPv6 address."""
    port: int = PORT
    """Port for UDP and TCP."""
    count: int = 1
    """Number of members in the program; several are named NAME-0 and so on."""
    key: bytes = b""
    """Encryption key; empty for no encryption."""
    label: str = ""
    """Label of every packet and stream; empty for none."""
    meta: bytes = b""
    """Metadata of the member."""
    protocol: int = 2
    """Version of the memberlist protocol."""
    delegate: tuple[int, int, int] = (0, 0, 0)
    """Delegate protocol versions: minimum, maximum, current."""
    compression: bool = True
    """Compress messages."""
    preset: str = ""
    """Name of the default settings; empty for the program's own default."""
    join: tuple[str, ...] = ()
    """Addresses to join at the start, with ports."""


class Peer:
    """A running member program. Without ``observer``, its first member is the observer."""

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
        """Return the number of lines so far, to be passed as ``after``."""
        return len(self.process.output)

    def history(self) -> list[MemberChange]:
        """Return all changes of members that it has reported."""
        return [change for line in self.process.output if (change := self._parse_change(line))]

    def errors_and_warnings(self) -> list[str]:
        """Return the errors and warnings that the library has logged."""
        return [line for line in self.process.log if "[ERR]" in line or "[WARN]" in line]

    async def wait_for_event(
        self, event: str, after: int = 0, within: float = TIMEOUT, *, observer: str = ""
    ) -> PeerEvent:
        """Wait for an event of an observer; return it."""

        def read(line: str) -> PeerEvent | None:
            parsed = _parse_event(line)
            is_observers = parsed.observer == (observer or self._first)
            return parsed if is_observers and parsed.event == event else None

        return await self.process.find(self.process.output, read, after, within)

    async def wait_change(
        self, change: Change, name: str, after: int = 0, within: float = TIMEOUT
    ) -> MemberChange:
        """Wait until it reports a change of a member; return the change."""

        read = partial(self._match_change, change, name)
        return await self.process.find(self.process.output, read, after, within)

    async def wait_metadata(self, name: str, meta: bytes, within: float = TIMEOUT) -> MemberChange:
        """Wait until it reports a member with this metadata."""

        def read(line: str) -> MemberChange | None:
            change = self._parse_change(line)
            matches = change and (change.node.name, change.node.meta) == (name, meta)
            return change if matches else None

        return await self.process.find(self.process.output, read, within=within)

    async def retains(self, name: str, seconds: float) -> None:
        """Check that it does not report a member as down for ``seconds``."""
        await self.process.never(
            self.process.output, partial(self._match_change, "leave", name), self.now, seconds
        )

    async def suspects(self, name: str, within: float = TIMEOUT) -> None:
        """Wait until it suspects a member."""
        if self.version == OURS:
            await self.wait_change("suspect", name, within=within)
        else:
            await self._logged(f"Suspect {name} has failed", within)

    async def refutes(self, reporter: str, within: float = TIMEOUT) -> None:
        """Wait until it refutes a suspicion of itself by ``reporter``."""
        if self.version == OURS:
            await self.wait_for_event("self-suspected", within=within)
        else:
            await self._logged(f"Refuting a suspect message (from: {reporter})", within)

    async def members(self) -> dict[str, ObservedMember]:
        """Return the members in its view, by name."""
        event = await self._run_command("members", "members")
        return {member.name: member for member in event.members}

    async def join(self, *addresses: str) -> int:
        """Join; return the number of addresses joined. Raises AssertionError if one failed."""
        return (await self._run_command(f"join {' '.join(addresses)}", "joined")).count

    async def push_pull_with(self, address: str) -> dict[str, ObservedMember]:
        """Push-pull with another member; return its members, including dead and left ones."""
        mark = self.now
        await self.join(address)
        event = await self.wait_for_event("merge", mark)
        return {member.name: member for member in event.members}

    async def change(self, meta: bytes) -> None:
        """Change its metadata."""
        await self._run_command(f"meta {meta.hex()}", "changed")

    async def leave(self) -> None:
        """Leave, and wait until the departure is broadcast. The program keeps running."""
        await self._run_command("leave", "left")

    async def _logged(self, text: str, within: float) -> None:
        log = self.process.log
        await self.process.find(log, lambda s: s if text in s else None, within=within)

    def _match_change(self, kind: Change, name: str, line: str) -> MemberChange | None:
        change = self._parse_change(line)
        matches = change and (change.change, change.node.name) == (kind, name)
        return change if matches else None

    def _parse_change(self, line: str) -> MemberChange | None:
        fields = json.loads(line)
        if fields["observer"] != self._first or "node" not in fields:
            return None
        return MemberChange(
            fields["event"], fields["at"], self._first, _parse_member(fields["node"])
        )

    async def _run_command(self, command: str, answer: str) -> PeerEvent:
        mark = self.now
        self.process.write_line(command)
        event = await self.wait_for_event(answer, mark)
        assert not event.error, event.error
        return event


@contextlib.asynccontextmanager
async def peer(host: Host, name: str, options: Options | None = None) -> AsyncIterator[Peer]:
    """Run a member on a host, or ``count`` of them, each joined to the first."""
    wanted = options or Options()
    command = [*_command(wanted.version), *_flags(host, name, wanted)]
    async with program(host.namespace, *command) as process:
        made = Peer(process, name, host, wanted)
        await made.wait_for_event("started")
        if wanted.count > 1:
            await made.wait_for_event("joined", observer=f"{name}-{wanted.count - 1}")
        if wanted.join:
            joined = await made.wait_for_event("joined")
            assert not joined.error, joined.error
        yield made


def _command(version: str) -> list[str]:
    if version == OURS:
        return [sys.executable, str(Path(__file__).with_name("member_program.py"))]
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


def _parse_event(line: str) -> PeerEvent:
    fields = json.loads(line)
    return PeerEvent(
        event=fields["event"],
        observer=fields["observer"],
        members=tuple(map(_parse_member, fields.get("members", ()))),
        count=fields["count"],
        error=fields["error"],
    )


def _parse_member(fields: dict[str, Any]) -> ObservedMember:
    return ObservedMember(
        name=fields["name"],
        address=fields["address"],
        port=fields["port"],
        meta=bytes.fromhex(fields["meta"]),
        state=fields.get("state", ""),
        versions=tuple(fields["versions"]),
    )
