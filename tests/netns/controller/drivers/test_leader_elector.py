"""Leader election on loopback: several candidates, one API server that stops and starts."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from support.kube.api import HOST, Api, connected, running_api
from support.net.ports import free_port
from support.net.waiting import TIMEOUT, Observable

from controller.drivers.leader_elector import (
    Candidacy,
    ElectionEvent,
    Gained,
    Leadership,
    Term,
    Unreachable,
)
from metallb_py.kube.leader_election import Durations, Follow, LeadershipLost
from metallb_py.kube.objects import Lease
from metallb_py.lab.apiserver.defaults import BY_KIND

NAMESPACE = "metallb-system"
LEASE = "metallb-controller"
# A Lease's duration is whole seconds: 1 is the minimum.
D = Durations(lease=1, deadline=0.7, renew=0.1, poll=0.1, attempt=0.5)
# For candidates that must not lose the Lease on a slow machine.
PATIENT = Durations(lease=3, deadline=2.5, renew=0.1, poll=0.1, attempt=2.0)


class Candidate(Observable):
    """A candidate; records its events."""

    def __init__(self, kubeconfig: Path, name: str, durations: Durations = D) -> None:
        super().__init__()
        self.events: list[ElectionEvent] = []
        self.term: Term | None = None
        candidacy = Candidacy(str(kubeconfig), NAMESPACE, LEASE, name, durations)
        leadership = Leadership(candidacy, self._record)
        self._task = asyncio.create_task(leadership.run(self._lead))

    async def until_leading(self) -> Term:
        term = await self.until(lambda: self.term)
        assert term is not None
        return term

    async def until_event(self, kind: type[ElectionEvent]) -> None:
        await self.until(lambda: any(isinstance(event, kind) for event in self.events))

    async def leave(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _record(self, event: ElectionEvent) -> None:
        self.events.append(event)
        self.notify()

    async def _lead(self, term: Term) -> None:
        self.term = term
        self.notify()
        try:
            await term.ended.wait()
        finally:
            self.term = None


@asynccontextmanager
async def running_candidates(
    api: Api, *names: str, durations: Durations = D
) -> AsyncIterator[list[Candidate]]:
    candidates = [Candidate(api.kubeconfig, name, durations) for name in names]
    try:
        yield candidates
    finally:
        await asyncio.gather(*(candidate.leave() for candidate in candidates))


def stored(api: Api) -> Lease:
    return msgspec.convert(api.store.get(BY_KIND["Lease"], NAMESPACE, LEASE), Lease)


async def test_leader_renews_and_a_follower_takes_over_when_it_leaves(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, running_candidates(api, "a") as (first,):
        await first.until_leading()
        made = stored(api)
        assert made.holder == "a"
        assert made.spec.lease_duration_seconds == 1
        await api.until(lambda: stored(api).spec.renew_time != made.spec.renew_time)
        assert stored(api).spec.acquire_time == made.spec.acquire_time
        async with running_candidates(api, "b") as (second,):
            await second.until_event(Follow)
            await first.leave()
            assert stored(api).holder in ("", "b")
            await second.until_leading()
            assert stored(api).spec.lease_transitions == 1


async def test_unconfirmed_write_leaves_the_lease_to_expire(
    tmp_path: Path,
) -> None:
    async with running_api(tmp_path) as api, running_candidates(api, "a", "b") as (first, second):
        await api.until(lambda: api.store.list(BY_KIND["Lease"]))
        leader, other = (first, second) if stored(api).holder == "a" else (second, first)
        term = await leader.until_leading()
        term.fence.has_unconfirmed_write = True
        left = time.monotonic()
        await leader.leave()
        await other.until_leading()
        assert time.monotonic() - left > 0.7


async def test_api_server_outage_ends_leadership_until_it_is_back(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, running_candidates(api, "a", "b") as candidates:
        await api.until(lambda: api.store.list(BY_KIND["Lease"]))
        leader = candidates[0] if stored(api).holder == "a" else candidates[1]
        term = await leader.until_leading()
        await api.stop()
        await asyncio.wait_for(term.ended.wait(), TIMEOUT)
        assert not term.fence.is_open()
        await leader.until_event(LeadershipLost)
        await leader.until_event(Unreachable)
        await api.start()
        await api.until(lambda: stored(api).spec.lease_transitions == 1)


async def test_leader_whose_lease_is_taken_stops_at_once(tmp_path: Path) -> None:
    async with (
        running_api(tmp_path) as api,
        running_candidates(api, "a", durations=PATIENT) as (leader,),
    ):
        term = await leader.until_leading()
        async with connected(api) as client:
            path = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{LEASE}"
            await client.patch(path, {"spec": {"holderIdentity": "thief"}})
        await asyncio.wait_for(term.ended.wait(), TIMEOUT)
        await leader.until_event(Follow)
        assert leader.events[1:] == [LeadershipLost("thief holds the lease"), Follow("thief")]


async def test_failed_work_is_raised_and_leaves_the_lease_to_expire(tmp_path: Path) -> None:
    async def fail(_: Term) -> None:
        raise ValueError("broken")

    async with running_api(tmp_path) as api:
        candidacy = Candidacy(str(api.kubeconfig), NAMESPACE, LEASE, "a", D)
        with pytest.raises(ValueError, match="broken"):
            await Leadership(candidacy, lambda _: None).run(fail)
        assert stored(api).holder == "a"


async def test_second_cancellation_ends_the_election_too(tmp_path: Path) -> None:
    """As by a TaskGroup in which another task fails during the shutdown."""
    leading, ending, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def lead(_: Term) -> None:
        leading.set()
        try:
            await asyncio.Event().wait()
        finally:
            ending.set()
            await ended.wait()

    async with running_api(tmp_path) as api:
        candidacy = Candidacy(str(api.kubeconfig), NAMESPACE, LEASE, "a", D)
        task = asyncio.create_task(Leadership(candidacy, lambda _: None).run(lead))
        for event in (leading, ending):
            await asyncio.wait_for(event.wait(), TIMEOUT)
            task.cancel()
        async with running_candidates(api, "b") as (other,):
            await other.until_leading()
        assert task.cancelled()
        ended.set()


async def test_leader_that_lost_its_term_is_elected_again(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, running_candidates(api, "a") as (leader,):
        first = await leader.until_leading()
        await api.stop()
        await asyncio.wait_for(first.ended.wait(), TIMEOUT)
        await api.start()
        second = await leader.until_leading()
        assert second is not first
        kinds = [type(e) for e in leader.events if not isinstance(e, Unreachable)]
        assert kinds == [Gained, LeadershipLost, Gained]


@asynccontextmanager
async def api_in_another_process(folder: Path) -> AsyncIterator[Path]:
    """Provide a kubeconfig for an API server in a process of its own."""
    port = free_port()
    module = "metallb_py.lab.apiserver"
    server = await asyncio.create_subprocess_exec(sys.executable, "-m", module, HOST, str(port))
    kubeconfig = folder / "kubeconfig"
    cluster = {"name": "x", "cluster": {"server": f"http://{HOST}:{port}"}}
    context = {"name": "x", "context": {"cluster": "x", "user": ""}}
    config = {"clusters": [cluster], "contexts": [context], "current-context": "x"}
    kubeconfig.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", **config}))
    try:
        yield kubeconfig
    finally:
        server.terminate()
        await server.wait()


async def test_leader_with_a_blocked_event_loop_keeps_the_lease(tmp_path: Path) -> None:
    async with api_in_another_process(tmp_path) as kubeconfig:
        leader, other = (Candidate(kubeconfig, name, PATIENT) for name in "ab")
        try:
            done = [asyncio.create_task(c.until_leading()) for c in (leader, other)]
            await asyncio.wait(done, return_when=asyncio.FIRST_COMPLETED)
            term = (leader if leader.term else other).term
            assert term is not None
            until = time.monotonic() + 1.5 * PATIENT.lease
            while time.monotonic() < until:
                sum(range(1000))  # blocks the event loop, as a busy controller does
            assert term.fence.is_open()
            await asyncio.sleep(0)
            assert not term.ended.is_set()
            for task in done:
                task.cancel()
        finally:
            await asyncio.gather(leader.leave(), other.leave())
