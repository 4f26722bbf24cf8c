"""The gossip of a speaker: in a thread of its own, and what the speaker makes of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator, Callable

import pytest
from support.gossip import endpoint, membership, running
from support.patience import PATIENCE
from support.running import while_running

from metallb_py.kube.objects import ObjectMeta, Pod, PodIP, PodSpec, PodStatus
from metallb_py.protocols.memberlist.codec.codec import encode
from metallb_py.protocols.memberlist.codec.messages import (
    META_LIMIT,
    NodeState,
    Ping,
    PushPull,
    State,
)
from metallb_py.protocols.memberlist.events import MemberUp
from metallb_py.runtime.log import Level, Logger
from metallb_py.runtime.metrics import MemberMetrics, SpeakerMetrics
from speaker.layer2.topology import MAGIC, Wire
from speaker.membership.gossip import GossipMembers
from speaker.membership.interface import Usable
from speaker.membership.io.gossip_thread import Gossip, GossipEvent, NotStarted, Started, Traffic
from speaker.membership.settings import GossipSettings

pytestmark = pytest.mark.netns
PORT = 17947
MANY = 1000


async def until(true: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Let the loop run until something is true."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.01)


def place(number: int) -> str:
    return f"127.0.2.{number}"


@contextlib.asynccontextmanager
async def gossiping(name: str, number: int) -> AsyncIterator[tuple[Gossip, list[GossipEvent]]]:
    told: list[GossipEvent] = []
    gossip = Gossip(told.extend)
    made = membership(name, endpoint(place(number), PORT))
    async with while_running(gossip.run(made)):
        yield gossip, told


def has(told: list[GossipEvent], kind: type[GossipEvent]) -> bool:
    return any(isinstance(event, kind) for event in told)


async def test_it_answers_while_the_speakers_loop_is_busy() -> None:
    async with gossiping("busy", 1) as (_, told):
        await until(lambda: has(told, Started))
        question = membership("x", endpoint(place(3), PORT)).envelope.pack_stream(
            encode(Ping(7, "busy"))
        )
        with socket.create_connection((place(1), PORT)) as stream:
            stream.sendall(question)
            stream.setblocking(False)
            answer, deadline = b"", time.monotonic() + PATIENCE
            while not answer:  # this loop, and with it the event loop, lets nobody else in
                assert time.monotonic() < deadline
                with contextlib.suppress(BlockingIOError):
                    answer = stream.recv(100)


async def test_it_waits_for_its_port() -> None:
    async with (
        running(membership("first", endpoint(place(1), PORT))),
        gossiping("second", 1) as (_, told),
    ):
        await until(lambda: has(told, NotStarted))
        assert not has(told, Started)
    async with gossiping("third", 1) as (_, told):
        await until(lambda: has(told, Started))


async def test_it_reports_what_went_by() -> None:
    async with (
        gossiping("one", 1) as (gossip, told),
        running(membership("two", endpoint(place(2), PORT))) as two,
    ):
        await until(lambda: has(told, Started))
        gossip.join((two.endpoint,))
        await until(lambda: has(told, MemberUp))
        await until(lambda: any(isinstance(e, Traffic) and e.sent and e.received for e in told))
        gossip.update(b"meta")
        await until(lambda: any(m.meta == b"meta" for m in two.node.machine.members))
        gossip.leave()
        await until(lambda: two.alive() == {"two"})


class Speaker:
    """A GossipMembers with what it tells."""

    def __init__(self, number: int, capfd: pytest.CaptureFixture[str]) -> None:
        self.usable: list[Usable] = []
        self.metrics = SpeakerMetrics()
        self._capfd = capfd
        self._said = ""
        settings = GossipSettings(endpoint(place(number), PORT), b"quite secret")
        self.members = GossipMembers(
            f"node{number}",
            settings,
            Logger(Level.DEBUG),
            MemberMetrics(self.metrics),
            self.usable.append,
        )

    def names(self) -> set[str]:
        return set(self.usable[-1].nodes) if self.usable else set()


def pods(*numbers: int) -> list[Pod]:
    return [
        Pod(
            metadata=ObjectMeta(f"speaker-{number}"),
            spec=PodSpec(f"node{number}"),
            status=PodStatus(pod_ips=(PodIP(place(number)), PodIP("2001:db8::1"))),
        )
        for number in numbers
    ]


@contextlib.asynccontextmanager
async def taking_part(speaker: Speaker) -> AsyncIterator[None]:
    async with while_running(speaker.members.run()):
        yield


WIRE = Wire("eth0", "02:00:00:00:00:01")


async def test_speakers_find_each_other_by_their_pods(capfd: pytest.CaptureFixture[str]) -> None:
    one, two = Speaker(1, capfd), Speaker(2, capfd)
    for speaker in (one, two):
        speaker.members.wires_changed((WIRE,))
        speaker.members.pods_changed(pods(1, 2))
    async with taking_part(one), taking_part(two):
        await until(lambda: one.names() == two.names() == {"node1", "node2"})
        assert one.usable[-1].wires == {"node1": (WIRE,), "node2": (WIRE,)}
        await two.members.leave()
        await until(lambda: one.names() == {"node1"})
        await until(lambda: b'metallb_memberlist_members{state="left"} 1.0' in page(one))
        assert b'metallb_memberlist_messages_total{direction="in",kind="push_pull"}' in page(one)
    events = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    told = [(e["node name"], e["node event"]) for e in events if "node event" in e]
    assert ("node2", "NodeJoin") in told
    assert ("node2", "NodeLeave") in told


async def test_nothing_is_told_before_everybody_was_tried(
    capfd: pytest.CaptureFixture[str],
) -> None:
    one = Speaker(1, capfd)
    one.members.wires_changed((WIRE,))
    async with taking_part(one):
        await until(lambda: b"metallb_memberlist_members" in page(one))
        assert not one.usable
        one.members.pods_changed(pods(1, 2))  # the second is not there
        await until(lambda: one.names() == {"node1"})


async def test_a_speaker_that_comes_later_is_joined_as_soon_as_its_pod_is_told(
    capfd: pytest.CaptureFixture[str],
) -> None:
    one, two = Speaker(1, capfd), Speaker(2, capfd)
    one.members.wires_changed((WIRE,))
    two.members.wires_changed((WIRE,))
    one.members.pods_changed(pods(1))
    two.members.pods_changed(pods(2))  # it does not know of the first
    async with taking_part(one), taking_part(two):
        await until(lambda: one.names() == {"node1"} and two.names() == {"node2"})
        one.members.pods_changed(pods(1, 2))
        await until(lambda: one.names() == two.names() == {"node1", "node2"})


async def tell_of(where: tuple[str, int], secret: bytes, states: tuple[NodeState, ...]) -> None:
    """Do a push-pull as a member that knows these."""
    envelope = membership("x", endpoint(place(9), PORT), secret=secret).envelope
    reader, writer = await asyncio.open_connection(*where, local_addr=(place(9), 0))
    try:
        writer.write(envelope.pack_stream(encode(PushPull(states, join=True))))
        async with asyncio.timeout(PATIENCE):
            await reader.read()
    finally:
        writer.transport.abort()


async def test_a_thousand_members_that_appear_at_once_are_few_changes(
    capfd: pytest.CaptureFixture[str],
) -> None:
    one = Speaker(1, capfd)
    one.members.wires_changed((WIRE,))
    one.members.pods_changed(pods(1))
    crowd = tuple(
        NodeState(f"crowd{n}", endpoint(f"127.9.{n // 250}.{n % 250 + 1}", PORT), 1, State.ALIVE)
        for n in range(MANY)
    )
    async with taking_part(one):
        await until(lambda: one.names() == {"node1"})
        before = len(one.usable)
        await tell_of((place(1), PORT), b"quite secret", crowd)
        await until(lambda: len(one.names()) == 1 + MANY)
        assert len(one.usable) - before <= 5
    lines = [line for line in capfd.readouterr().out.splitlines() if "NodeJoin" in line]
    assert 0 < len(lines) < MANY


HOSTILE_META = (
    b"",
    b"\x00" * META_LIMIT,
    MAGIC + b"\x91" * 400,
    MAGIC + b"\x91\x93\xa4eth0\xc4\x02\x00\x01\x90",
    MAGIC + b"\x91\x93\xa4eth0\xc4\x06123456\x91\xc4\x05\xff\x0a\x00\x00\x00",
    MAGIC + b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00",  # NaN
)


async def test_a_member_with_metadata_that_is_none_counts_as_one_without(
    capfd: pytest.CaptureFixture[str],
) -> None:
    one = Speaker(1, capfd)
    one.members.wires_changed((WIRE,))
    one.members.pods_changed(pods(1))
    states = tuple(
        NodeState(f"hostile{n}", endpoint(f"127.9.0.{n + 1}", PORT), 1, State.ALIVE, meta)
        for n, meta in enumerate(HOSTILE_META)
    )
    async with taking_part(one):
        await until(lambda: one.names() == {"node1"})
        await tell_of((place(1), PORT), b"quite secret", states)
        await until(lambda: one.names() == {"node1", *(state.node for state in states)})
        assert one.usable[-1].wires == {"node1": (WIRE,)}


async def test_pods_with_addresses_that_are_none_are_left_out(
    capfd: pytest.CaptureFixture[str],
) -> None:
    one, two = Speaker(1, capfd), Speaker(2, capfd)
    hostile = Pod(
        metadata=ObjectMeta("speaker-3"),
        spec=PodSpec("node3"),
        status=PodStatus(pod_ips=(PodIP("no address"), PodIP("10.0.0.1/8"), PodIP(""))),
    )
    for speaker in (one, two):
        speaker.members.wires_changed((WIRE,))
        speaker.members.pods_changed([*pods(1, 2), hostile])
    async with taking_part(one), taking_part(two):
        await until(lambda: one.names() == two.names() == {"node1", "node2"})


async def test_claims_to_one_name_are_logged_within_limits(
    capfd: pytest.CaptureFixture[str],
) -> None:
    one = Speaker(1, capfd)
    one.members.wires_changed((WIRE,))
    one.members.pods_changed(pods(1))
    async with taking_part(one):
        await until(lambda: one.names() == {"node1"})
        claims = tuple(
            NodeState(f"crowd{n}", endpoint(f"127.9.{turn}.{n + 1}", PORT), 1, State.ALIVE)
            for n in range(200)
            for turn in (1, 2)
        )
        await tell_of((place(1), PORT), b"quite secret", claims)
        await until(lambda: len(one.names()) == 201)
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    conflicts = [line for line in lines if line.get("event") == "memberConflict"]
    assert 0 < len(conflicts) <= 60
    assert conflicts[0]["node name"] == "crowd0"
    assert (conflicts[0]["node addr"], conflicts[0]["refused"]) == ("127.9.1.1", "127.9.2.1")


def page(speaker: Speaker) -> bytes:
    return speaker.metrics.render()[0]
