"""A member on our own driver, as a program that talks as ``tests/interop/memberlist_peer`` does.

So a test treats ours and theirs alike, and can kill either.
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
    Accused,
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
)
from metallb_py.protocols.memberlist.settings import LAN, WAN, Settings
from speaker.membership.io.gossip_thread import Gossip, GossipEvent, NotStarted, Started, Traffic
from speaker.membership.io.gossip_transport import Membership

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
"""Seconds in which those are told that this one leaves."""


class Talker:
    """Keeps the member, prints what happens to it, and obeys."""

    def __init__(self, me: Member) -> None:
        self._me = me
        self._others: dict[str, Member] = {}
        self._joining: dict[Endpoint, asyncio.Future[str]] = {}
        self.started = asyncio.Event()
        self.gossip = Gossip(self._on_events)

    async def obey(self, command: str, *words: str) -> None:
        """Do what a line of the input says, and tell the outcome."""
        match command:
            case "members":
                everybody = [self._me, *self._others.values()]
                self.say("members", members=[_fields(member) for member in everybody])
            case "meta":
                self.gossip.update(bytes.fromhex("".join(words)))
                self.say("changed")
            case "join":
                errors = [error for error in await self._join(map(_endpoint, words)) if error]
                self.say("joined", count=len(words) - len(errors), error="; ".join(errors))
            case "leave":
                self.gossip.leave()
                await asyncio.sleep(LINGER)
                self.say("left")
            case _:
                self.say("unknown", error=command)

    def say(self, event: str, count: int = 0, error: str = "", **more: object) -> None:
        """Print a line."""
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
                self.say("started", count=1)
                self.started.set()
            case MemberUp() | MemberChanged() | MemberSuspected() | MemberTrusted() | MemberDown():
                self._note(CHANGES[type(event)], event.member)
            case Accused(reporter):
                self.say("accused", error=reporter)
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

    def _note(self, change: str, member: Member) -> None:
        self._others[member.name] = member
        if change == "leave":
            del self._others[member.name]
        self.say(change, node=_fields(member))


async def run(options: argparse.Namespace) -> None:
    """Take part until the input ends."""
    membership = _membership(options)
    talker = Talker(membership.me)
    input_ = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(input_), sys.stdin
    )
    member = asyncio.create_task(talker.gossip.run(membership))
    await talker.started.wait()
    if options.join:
        await talker.obey("join", *options.join.split(","))
    async for line in input_:
        words = line.decode().split()
        if words == ["quit"]:
            break
        await talker.obey(*words)
    member.cancel()
    await asyncio.wait({member})


def _membership(options: argparse.Namespace) -> Membership:
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
    return Membership(me, PRESETS[options.preset], envelope, random.Random())


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
    """Read the command line."""
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
