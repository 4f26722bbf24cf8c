"""Members of a gossip cluster on loopback addresses, through the speaker's own driver."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections.abc import AsyncIterator, Callable
from ipaddress import ip_address
from typing import TypeVar

from support.patience import PATIENCE
from support.running import while_running

from metallb_py.protocols.memberlist.codec.envelope import Envelope
from metallb_py.protocols.memberlist.codec.keyring import Keyring
from metallb_py.protocols.memberlist.codec.messages import Endpoint, State
from metallb_py.protocols.memberlist.events import Member, News
from metallb_py.protocols.memberlist.settings import FAST, Settings
from speaker.membership.io.gossip_transport import GossipNode, Membership

E = TypeVar("E", bound=News)


def endpoint(address: str, port: int) -> Endpoint:
    return Endpoint(ip_address(address), port)


def membership(
    name: str,
    where: Endpoint,
    *,
    meta: bytes = b"",
    secret: bytes = b"",
    key_bytes: int = 16,
    label: str = "",
    settings: Settings = FAST,
) -> Membership:
    """Return what a member is made of, as the speaker makes it."""
    envelope = Envelope(
        label=label,
        keyring=Keyring.of(secret, 32 if key_bytes == 32 else 16) if secret else None,
        nonce=lambda: os.urandom(12),
    )
    me = Member(name, where, int(time.time()), State.ALIVE, meta)
    return Membership(me, settings, envelope, random.Random())


class RunningMember:
    """One of ours, and what it told."""

    def __init__(self) -> None:
        self.told: list[News] = []
        self.node: GossipNode
        self._news = asyncio.Event()

    def tell(self, event: News) -> None:
        self.told.append(event)
        self._news.set()

    @property
    def endpoint(self) -> Endpoint:
        return self.node.machine.me.endpoint

    def state_of(self, name: str) -> State | None:
        """Return what it thinks of a member."""
        found = [m.state for m in self.node.machine.members if m.name == name]
        return found[0] if found else None

    def alive(self) -> set[str]:
        """Return the names of those that it takes for alive, itself included."""
        return {
            m.name for m in self.node.machine.members if m.state in (State.ALIVE, State.SUSPECT)
        }

    def events(self, kind: type[E]) -> list[E]:
        return [event for event in self.told if isinstance(event, kind)]

    async def until(self, true: Callable[[], bool], seconds: float = PATIENCE) -> None:
        """Wait until something is true after an event. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while not true():
                self._news.clear()
                await self._news.wait()


@contextlib.asynccontextmanager
async def running(made: Membership) -> AsyncIterator[RunningMember]:
    """Run a member of ours; in the end it is gone without a word, as after a crash."""
    member = RunningMember()
    member.node = GossipNode.open(made, member.tell)
    try:
        async with while_running(member.node.run()):
            yield member
    finally:
        await member.node.close()
