"""The election on loopback: several candidates, one API server that comes and goes."""

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
from support.api import HOST, Api, connected, running_api
from support.patience import PATIENCE
from support.ports import free_port

from controller.drivers.leader_elector import (
    Candidacy,
    ElectionEvent,
    Gained,
    Leadership,
    Term,
    Unreachable,
)
from metallb_py.kube.leader_election import Durations, Follow, Lose
from metallb_py.kube.objects import Lease
from metallb_py.lab.apiserver.defaults import BY_KIND

NAMESPACE = "metallb-system"
LEASE = "metallb-controller"
# A Lease lasts whole seconds: no shorter one can be had.
D = Durations(lease=1, deadline=0.7, renew=0.1, poll=0.1, attempt=0.5)
# For who must not lose it because this machine is slow.
PATIENT = Durations(lease=3, deadline=2.5, renew=0.1, poll=0.1, attempt=2.0)


class Candidate:
    """Stands for election, and notes what it hears."""

    def __init__(self, kubeconfig: Path, name: str, durations: Durations = D) -> None:
        self.events: list[ElectionEvent] = []
        self.term: Term | None = None
        self.changed = asyncio.Event()
        candidacy = Candidacy(str(kubeconfig), NAMESPACE, LEASE, name, durations)
        leadership = Leadership(candidacy, self._hear)
        self._task = asyncio.create_task(leadership.run(self._lead))

    async def until_leading(self) -> Term:
        async with asyncio.timeout(PATIENCE):
            while self.term is None:
                self.changed.clear()
                await self.changed.wait()
        return self.term

    async def until_heard(self, kind: type[ElectionEvent]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not any(isinstance(event, kind) for event in self.events):
                self.changed.clear()
                await self.changed.wait()

    async def leave(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _hear(self, event: ElectionEvent) -> None:
        self.events.append(event)
        self.changed.set()

    async def _lead(self, term: Term) -> None:
        self.term = term
        self.changed.set()
        try:
            await term.ended.wait()
        finally:
            self.term = None


@asynccontextmanager
async def standing(
    api: Api, *names: str, durations: Durations = D
) -> AsyncIterator[list[Candidate]]:
    candidates = [Candidate(api.kubeconfig, name, durations) for name in names]
    try:
        yield candidates
    finally:
        await asyncio.gather(*(candidate.leave() for candidate in candidates))


def stored(api: Api) -> Lease:
    return msgspec.convert(api.store.get(BY_KIND["Lease"], NAMESPACE, LEASE), Lease)


async def test_one_leads_and_renews_and_another_follows_when_it_leaves(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, standing(api, "a") as (first,):
        await first.until_leading()
        made = stored(api)
        assert made.holder == "a"
        assert made.spec.lease_duration_seconds == 1
        await api.until(lambda: stored(api).spec.renew_time != made.spec.renew_time)
        assert stored(api).spec.acquire_time == made.spec.acquire_time
        async with standing(api, "b") as (second,):
            await second.until_heard(Follow)
            await first.leave()
            assert stored(api).holder in ("", "b")
            await second.until_leading()
            assert stored(api).spec.lease_transitions == 1


async def test_who_leaves_a_write_without_answer_leaves_the_lease_to_expire(
    tmp_path: Path,
) -> None:
    async with running_api(tmp_path) as api, standing(api, "a", "b") as (first, second):
        await api.until(lambda: api.store.list(BY_KIND["Lease"]))
        leader, other = (first, second) if stored(api).holder == "a" else (second, first)
        term = await leader.until_leading()
        term.fence.unsure = True
        left = time.monotonic()
        await leader.leave()
        await other.until_leading()
        assert time.monotonic() - left > 0.7


async def test_without_an_api_server_nobody_leads_and_afterwards_one_does(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, standing(api, "a", "b") as candidates:
        await api.until(lambda: api.store.list(BY_KIND["Lease"]))
        leader = candidates[0] if stored(api).holder == "a" else candidates[1]
        term = await leader.until_leading()
        await api.stop()
        await asyncio.wait_for(term.ended.wait(), PATIENCE)
        assert not term.fence.is_open()
        await leader.until_heard(Lose)
        await leader.until_heard(Unreachable)
        await api.start()
        await api.until(lambda: stored(api).spec.lease_transitions == 1)


async def test_a_leader_whose_lease_is_taken_from_it_stops_at_once(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, standing(api, "a", durations=PATIENT) as (leader,):
        term = await leader.until_leading()
        async with connected(api) as client:
            path = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{LEASE}"
            await client.patch(path, {"spec": {"holderIdentity": "thief"}})
        await asyncio.wait_for(term.ended.wait(), PATIENCE)
        await leader.until_heard(Follow)
        assert leader.events[1:] == [Lose("thief holds the lease"), Follow("thief")]


async def test_work_that_fails_is_told_and_the_lease_left_to_expire(tmp_path: Path) -> None:
    async def fail(_: Term) -> None:
        raise ValueError("broken")

    async with running_api(tmp_path) as api:
        candidacy = Candidacy(str(api.kubeconfig), NAMESPACE, LEASE, "a", D)
        with pytest.raises(ValueError, match="broken"):
            await Leadership(candidacy, lambda _: None).run(fail)
        assert stored(api).holder == "a"


async def test_a_term_that_ended_is_followed_by_another(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, standing(api, "a") as (leader,):
        first = await leader.until_leading()
        await api.stop()
        await asyncio.wait_for(first.ended.wait(), PATIENCE)
        await api.start()
        second = await leader.until_leading()
        assert second is not first
        kinds = [type(e) for e in leader.events if not isinstance(e, Unreachable)]
        assert kinds == [Gained, Lose, Gained]


@asynccontextmanager
async def api_in_another_process(folder: Path) -> AsyncIterator[Path]:
    """Provide credentials for a server that answers whatever this process does."""
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


async def test_a_leader_that_is_busy_stays_the_leader(tmp_path: Path) -> None:
    async with api_in_another_process(tmp_path) as kubeconfig:
        leader, other = (Candidate(kubeconfig, name, PATIENT) for name in "ab")
        try:
            done = [asyncio.create_task(c.until_leading()) for c in (leader, other)]
            await asyncio.wait(done, return_when=asyncio.FIRST_COMPLETED)
            term = (leader if leader.term else other).term
            assert term is not None
            until = time.monotonic() + 1.5 * PATIENT.lease
            while time.monotonic() < until:
                sum(range(1000))  # what a controller does whose event loop gets no turn
            assert term.fence.is_open()
            await asyncio.sleep(0)
            assert not term.ended.is_set()
            for task in done:
                task.cancel()
        finally:
            await asyncio.gather(leader.leave(), other.leave())
