"""A member on our driver as a program with the protocol of ``tests/interop/memberlist_peer``.

A test thus treats ours and hashicorp's alike, and can kill either.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import time
from collections.abc import Iterable
from ipaddress import ip_address
from typing import assert_never

from metallb_py.protocols.memberlist.codec.envelope import Envelope
from metallb_py.protocols.memberlist.codec.keyring import Keyring
from metallb_py.protocols.memberlist.codec.messages import Endpoint, State, Versions
from metallb_py.protocols.memberlist.events import (
    Joined,
    JoinFailed,
    Member,
    MemberChanged,
    MemberDown,
    MemberSuspected,
    MemberTrusted,
    MemberUp,
    NameConflict,
    RoundTrip,
    SelfSuspected,
)
from metallb_py.protocols.memberlist.settings import LAN, WAN, Settings
from speaker.membership.io.gossip_thread import GossipEvent, GossipThread, NotStarted, Started
from speaker.membership.io.gossip_transport import MemberConfig, Traffic

PRESETS = {"own": Settings(), "lan": LAN, "wan": WAN}
CHANGES: dict[type[GossipEvent], str] = {
    MemberUp: "join",
    MemberChanged: "update",
    MemberSuspected: "suspect",
    MemberTrusted: "trusted",
    MemberDown: "leave",
}
NONCE = 12
LINGER = 0.2
"""Seconds for which the member broadcasts its departure."""


class MemberProgram:
    """Runs the member, executes the commands of the input, and prints events as JSON lines."""

    def __init__(self, me: Member) -> None:
        self._me = me
        self._others: dict[str, Member] = {}
        self._joining: dict[Endpoint, asyncio.Future[str]] = {}
        self.started = asyncio.Event()
        self.gossip = GossipThread(self._on_events)

    async def execute(self, command: str, *words: str) -> None:
        """Execute a line of the input, and print the result."""
        match command:
            case "members":
                members = [self._me, *self._others.values()]
                self.report("members", members=[_fields(member) for member in members])
            case "meta":
                self.gossip.update(bytes.fromhex("".join(words)))
                self.report("changed")
            case "join":
                errors = [error for error in await self._join(map(_endpoint, words)) if error]
                self.report("joined", count=len(words) - len(errors), error="; ".join(errors))
            case "leave":
                self.gossip.leave()
                await asyncio.sleep(LINGER)
                self.report("left")
            case _:
                self.report("unknown", error=command)

    def report(self, event: str, count: int = 0, error: str = "", **more: object) -> None:
        """Print an event as a line of JSON."""
        line = {"event": event, "at": time.time(), "observer": self._me.name}
        print(json.dumps(line | {"count": count, "error": error} | more), flush=True)

    async def _join(self, endpoints: Iterable[Endpoint]) -> list[str]:
        loop = asyncio.get_running_loop()
        self._joining = {endpoint: loop.create_future() for endpoint in endpoints}
        self.gossip.join(tuple(self._joining))
        return await asyncio.gather(*self._joining.values())

    def _on_events(self, events: tuple[GossipEvent, ...]) -> None:
        for event in events:
            self._on_event(event)

    def _on_event(self, event: GossipEvent) -> None:
        match event:
            case Started():
                self.report("started", count=1)
                self.started.set()
            case MemberUp() | MemberChanged() | MemberSuspected() | MemberTrusted() | MemberDown():
                self._record_change(CHANGES[type(event)], event.member)
            case SelfSuspected(reporter):
                self.report("self-suspected", error=reporter)
            case Joined(endpoint):
                self._joining[endpoint].set_result("")
            case JoinFailed(endpoint, error):
                self._joining[endpoint].set_result(f"Failed to join {endpoint}: {error}")
            case NotStarted(error):
                print(error, file=sys.stderr, flush=True)
            case RoundTrip() | Traffic() | NameConflict():
                pass
            case _:
                assert_never(event)

    def _record_change(self, change: str, member: Member) -> None:
        self._others[member.name] = member
        if change == "leave":
            del self._others[member.name]
        self.report(change, node=_fields(member))


async def run(options: argparse.Namespace) -> None:
    """Run a member until the input ends or contains ``quit``."""
    config = _config(options)
    program = MemberProgram(config.me)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    member = asyncio.create_task(program.gossip.run(lambda: config))
    await program.started.wait()
    if options.join:
        await program.execute("join", *options.join.split(","))
    async for line in reader:
        words = line.decode().split()
        if words == ["quit"]:
            break
        await program.execute(*words)
    member.cancel()
    await asyncio.wait({member})


def _config(options: argparse.Namespace) -> MemberConfig:
    versions = Versions(1, 5, options.protocol, *map(int, options.delegate.split(",")))
    endpoint = Endpoint(ip_address(options.bind), options.port)
    meta = bytes.fromhex(options.meta)
    me = Member(options.name, endpoint, int(time.time()), State.ALIVE, meta, versions)
    key = bytes.fromhex(options.key)
    envelope = Envelope(
        label=options.label,
        keyring=Keyring((key,)) if key else None,
        compression=options.compression == "true",
        nonce=lambda: os.urandom(NONCE),
    )
    return MemberConfig(me, PRESETS[options.preset], envelope, random.Random())


def _endpoint(text: str) -> Endpoint:
    address, _, port = text.rpartition(":")
    return Endpoint(ip_address(address.strip("[]")), int(port))


def _fields(member: Member) -> dict[str, object]:
    return {
        "name": member.name,
        "address": str(member.endpoint.address),
        "port": member.endpoint.port,
        "meta": member.meta.hex(),
        "state": member.state.name.lower(),
        "versions": list(member.versions),
    }


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (
        ("name", "ours"), ("bind", "127.0.0.1"), ("key", ""), ("label", ""), ("meta", ""),
        ("delegate", "0,0,0"), ("compression", "true"), ("preset", "own"), ("join", ""),
    ):  # fmt: skip
        parser.add_argument(f"-{name}", default=default)
    for name, number in (("port", 7946), ("protocol", 2), ("count", 1)):
        parser.add_argument(f"-{name}", type=int, default=number)
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(run(parse()))
