"""Members of a gossip cluster on loopback addresses, run by the speaker's driver."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from ipaddress import ip_address
from typing import TypeVar

from support.net.background import while_running
from support.net.waiting import Observable

from metallb_py.protocols.memberlist.codec.envelope import Drop, Envelope
from metallb_py.protocols.memberlist.codec.keyring import Keyring
from metallb_py.protocols.memberlist.codec.messages import Endpoint, State
from metallb_py.protocols.memberlist.events import ClusterEvent, Member
from metallb_py.protocols.memberlist.settings import FAST, Settings
from speaker.membership.io.gossip_transport import GossipTransport, MemberConfig, Traffic

E = TypeVar("E", bound=ClusterEvent | Traffic)


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
) -> MemberConfig:
    """Return the configuration of a member, as the speaker builds it."""
    envelope = Envelope(
        label=label,
        keyring=Keyring.of(secret, 32 if key_bytes == 32 else 16) if secret else None,
        nonce=lambda: os.urandom(12),
    )
    me = Member(name, where, int(time.time()), State.ALIVE, meta)
    return MemberConfig(me, settings, envelope, random.Random())


class RunningMember(Observable):
    """A member of ours, and the events that it reported."""

    def __init__(self) -> None:
        super().__init__()
        self.reported: list[ClusterEvent | Traffic] = []
        self.node: GossipTransport

    def on_event(self, event: ClusterEvent | Traffic) -> None:
        self.reported.append(event)
        self.notify()

    @property
    def endpoint(self) -> Endpoint:
        return self.node.machine.me.endpoint

    def state_of(self, name: str) -> State | None:
        """Return its view of a member's state; None for a name that it does not have."""
        found = [m.state for m in self.node.machine.members if m.name == name]
        return found[0] if found else None

    def alive(self) -> set[str]:
        """Return the names of the members alive or suspect in its view, itself included."""
        return {
            m.name for m in self.node.machine.members if m.state in (State.ALIVE, State.SUSPECT)
        }

    def dropped(self) -> Counter[Drop]:
        """Return the number of drops since the start, by reason."""
        reported = (traffic.dropped for traffic in self.events(Traffic))
        return sum(reported, start=Counter(self.node.machine.counters.dropped))

    def events(self, kind: type[E]) -> list[E]:
        return [event for event in self.reported if isinstance(event, kind)]


@contextlib.asynccontextmanager
async def running(config: MemberConfig) -> AsyncIterator[RunningMember]:
    """Run a member for the length of a block; at the end it closes without leaving (a crash)."""
    member = RunningMember()
    member.node = GossipTransport(asyncio.get_running_loop(), config, member.on_event)
    async with while_running(member.node.run()):
        await asyncio.sleep(0)  # it closes its port only if it runs
        yield member
