"""Membership by gossip, as a speaker derives it from its gossip thread."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import pytest
from support.gossip.running_member import endpoint, membership
from support.net.background import while_running
from support.net.waiting import TIMEOUT, until

from metallb_py.kube.objects import ObjectMeta, Pod, PodIP, PodSpec, PodStatus
from metallb_py.protocols.memberlist.codec.encode import encode
from metallb_py.protocols.memberlist.codec.messages import (
    META_LIMIT,
    NodeState,
    PushPull,
    State,
)
from metallb_py.runtime.log import Level, Logger
from speaker.layer2.topology import MAGIC, NodeInterface
from speaker.membership.gossip import GossipMembership
from speaker.membership.interface import Usable
from speaker.membership.settings import GossipSettings
from speaker.metrics import MemberMetrics, SpeakerMetrics

pytestmark = pytest.mark.netns
PORT = 17947
MANY = 1000


def place(number: int) -> str:
    return f"127.0.2.{number}"


class Speaker:
    """A GossipMembership, and what it publishes."""

    def __init__(self, number: int, capfd: pytest.CaptureFixture[str]) -> None:
        self.usable: list[Usable] = []
        self.metrics = SpeakerMetrics()
        self._capfd = capfd
        settings = GossipSettings(endpoint(place(number), PORT), b"quite secret")
        self.membership = GossipMembership(
            f"node{number}", settings, Logger(Level.DEBUG), MemberMetrics(self.metrics)
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
async def running_speaker(speaker: Speaker) -> AsyncIterator[None]:
    async with while_running(speaker.membership.run(speaker.usable.append)):
        yield


WIRE = NodeInterface("eth0", "02:00:00:00:00:01")


async def test_speakers_find_each_other_by_their_pods(capfd: pytest.CaptureFixture[str]) -> None:
    one, two = Speaker(1, capfd), Speaker(2, capfd)
    for speaker in (one, two):
        speaker.membership.interfaces_changed((WIRE,))
        speaker.membership.pods_changed(pods(1, 2))
    async with running_speaker(one), running_speaker(two):
        await until(lambda: one.names() == two.names() == {"node1", "node2"})
        assert one.usable[-1].interfaces == {"node1": (WIRE,), "node2": (WIRE,)}
        await two.membership.leave()
        await until(lambda: one.names() == {"node1"})
        await until(lambda: b'metallb_memberlist_members{state="left"} 1.0' in page(one))
        assert b'metallb_memberlist_messages_total{direction="in",kind="push_pull"}' in page(one)
    events = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    logged = [(e["node name"], e["node event"]) for e in events if "node event" in e]
    assert ("node2", "NodeJoin") in logged
    assert ("node2", "NodeLeave") in logged


async def test_no_membership_is_reported_before_every_join_was_tried(
    capfd: pytest.CaptureFixture[str],
) -> None:
    one = Speaker(1, capfd)
    one.membership.interfaces_changed((WIRE,))
    async with running_speaker(one):
        await until(lambda: b"metallb_memberlist_members" in page(one))
        assert not one.usable
        one.membership.pods_changed(pods(1, 2))  # the second is not there
        await until(lambda: one.names() == {"node1"})


async def test_later_speaker_is_joined_once_its_pod_is_observed(
    capfd: pytest.CaptureFixture[str],
) -> None:
    one, two = Speaker(1, capfd), Speaker(2, capfd)
    one.membership.interfaces_changed((WIRE,))
    two.membership.interfaces_changed((WIRE,))
    one.membership.pods_changed(pods(1))
    two.membership.pods_changed(pods(2))  # without the first
    async with running_speaker(one), running_speaker(two):
        await until(lambda: one.names() == {"node1"} and two.names() == {"node2"})
        one.membership.pods_changed(pods(1, 2))
        await until(lambda: one.names() == two.names() == {"node1", "node2"})


async def push_pull(where: tuple[str, int], secret: bytes, states: tuple[NodeState, ...]) -> None:
    """Do a push-pull as a member with these node states."""
    envelope = membership("x", endpoint(place(9), PORT), secret=secret).envelope
    reader, writer = await asyncio.open_connection(*where, local_addr=(place(9), 0))
    try:
        writer.write(envelope.pack_stream(encode(PushPull(states, join=True))))
        async with asyncio.timeout(TIMEOUT):
            await reader.read()
    finally:
        writer.transport.abort()


async def test_1000_members_that_join_at_once_are_few_reported_changes(
    capfd: pytest.CaptureFixture[str],
) -> None:
    one = Speaker(1, capfd)
    one.membership.interfaces_changed((WIRE,))
    one.membership.pods_changed(pods(1))
    crowd = tuple(
        NodeState(f"crowd{n}", endpoint(f"127.9.{n // 250}.{n % 250 + 1}", PORT), 1, State.ALIVE)
        for n in range(MANY)
    )
    async with running_speaker(one):
        await until(lambda: one.names() == {"node1"})
        before = len(one.usable)
        await push_pull((place(1), PORT), b"quite secret", crowd)
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


async def test_member_with_invalid_metadata_counts_as_one_without(
    capfd: pytest.CaptureFixture[str],
) -> None:
    one = Speaker(1, capfd)
    one.membership.interfaces_changed((WIRE,))
    one.membership.pods_changed(pods(1))
    states = tuple(
        NodeState(f"hostile{n}", endpoint(f"127.9.0.{n + 1}", PORT), 1, State.ALIVE, meta)
        for n, meta in enumerate(HOSTILE_META)
    )
    async with running_speaker(one):
        await until(lambda: one.names() == {"node1"})
        await push_pull((place(1), PORT), b"quite secret", states)
        await until(lambda: one.names() == {"node1", *(state.node for state in states)})
        assert one.usable[-1].interfaces == {"node1": (WIRE,)}


async def test_pods_with_invalid_addresses_are_ignored(
    capfd: pytest.CaptureFixture[str],
) -> None:
    one, two = Speaker(1, capfd), Speaker(2, capfd)
    hostile = Pod(
        metadata=ObjectMeta("speaker-3"),
        spec=PodSpec("node3"),
        status=PodStatus(pod_ips=(PodIP("no address"), PodIP("10.0.0.1/8"), PodIP(""))),
    )
    for speaker in (one, two):
        speaker.membership.interfaces_changed((WIRE,))
        speaker.membership.pods_changed([*pods(1, 2), hostile])
    async with running_speaker(one), running_speaker(two):
        await until(lambda: one.names() == two.names() == {"node1", "node2"})


async def test_member_conflicts_are_logged_within_limits(
    capfd: pytest.CaptureFixture[str],
) -> None:
    one = Speaker(1, capfd)
    one.membership.interfaces_changed((WIRE,))
    one.membership.pods_changed(pods(1))
    async with running_speaker(one):
        await until(lambda: one.names() == {"node1"})
        states = tuple(
            NodeState(f"crowd{n}", endpoint(f"127.9.{turn}.{n + 1}", PORT), 1, State.ALIVE)
            for n in range(200)
            for turn in (1, 2)
        )
        await push_pull((place(1), PORT), b"quite secret", states)
        await until(lambda: len(one.names()) == 201)
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    conflicts = [line for line in lines if line.get("event") == "memberConflict"]
    assert 0 < len(conflicts) <= 60
    assert conflicts[0]["node name"] == "crowd0"
    assert (conflicts[0]["node addr"], conflicts[0]["refused"]) == ("127.9.1.1", "127.9.2.1")


def page(speaker: Speaker) -> bytes:
    return speaker.metrics.render()[0]
