"""Leader election: competes for the Lease, and runs the leader's work while it holds the Lease.

The election has its own thread, event loop and connection: renewals must not be delayed by the
leader's work, as a busy leader is not a failed one. The term's fence keeps two leaders from writing
at once: it is open until the time that the last renewal allows, and is checked before each write.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import assert_never

from metallb_py.errors import ApiError, ConflictError, NotFoundError
from metallb_py.kube.client import KubeClient
from metallb_py.kube.fence import Fence
from metallb_py.kube.leader_election import (
    Absent,
    Answer,
    Conflict,
    Durations,
    Effect,
    Election,
    Failed,
    Follow,
    Found,
    Lead,
    LeadershipLost,
    Read,
    Write,
)
from metallb_py.kube.lease_client import LeaseClient, micro_time
from metallb_py.kube.objects import Lease, LeaseSpec
from metallb_py.runtime.loop_thread import LoopThread


@dataclass(frozen=True, slots=True)
class Candidacy:
    """A candidate and the Lease that it competes for."""

    kubeconfig: str
    """Path of a file with credentials; empty for the pod's own."""
    namespace: str
    """Namespace of the Lease."""
    lease: str
    """Name of the Lease."""
    identity: str
    """The candidate's ``holderIdentity``, unique among all candidates."""
    durations: Durations


class Term:
    """One term of leadership. ``fence`` is open while it lasts; ``ended`` is set soon after."""

    def __init__(self) -> None:
        self.fence = Fence(0.0)
        self.ended = asyncio.Event()


@dataclass(frozen=True, slots=True)
class Gained:
    """Start of a term."""

    term: Term


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Failure to read or write the Lease; reported once until that succeeds again."""

    error: ApiError


ElectionEvent = Gained | LeadershipLost | Follow | Unreachable


class Leadership:
    """Competes for the Lease as long as ``run`` runs."""

    def __init__(self, candidacy: Candidacy, on_event: Callable[[ElectionEvent], None]) -> None:
        self._candidacy = candidacy
        self._on_event = on_event
        self._terms: asyncio.Queue[Term] = asyncio.Queue()  # seldom more than one
        self._term = Term()

    async def run(self, lead: Callable[[Term], Awaitable[None]]) -> None:
        """Call ``lead`` for each term in turn; it must return soon after the term ended.

        On cancellation the Lease is released once ``lead`` has ended, so that another candidate can
        take it at once, unless a write is unconfirmed: the next leader might not see its result.
        If ``lead`` fails, the Lease is left to expire.
        """
        main, thread = asyncio.get_running_loop(), LoopThread()

        def report(event: ElectionEvent) -> None:
            main.call_soon_threadsafe(self._receive, event)

        elector = _Elector(self._candidacy, report)
        work = main.create_task(self._lead_terms(lead), name="leader")
        ended = thread.start(elector.run(), name="election")
        try:
            await asyncio.wait({work, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            in_order = False
            try:
                work.cancel()
                await asyncio.wait({work})
                in_order = work.cancelled() and not self._term.fence.has_unconfirmed_write
            finally:  # also if cancelled again: the thread would renew the Lease without end
                thread.call_soon(elector.finish, in_order)
                await thread.join()
        if not work.cancelled():
            work.result()
        ended.result()

    async def _lead_terms(self, lead: Callable[[Term], Awaitable[None]]) -> None:
        while True:
            term = await self._terms.get()
            await lead(term)

    def _receive(self, event: ElectionEvent) -> None:
        match event:
            case Gained(term):
                self._term = term
                self._terms.put_nowait(term)
            case LeadershipLost():
                self._term.ended.set()
            case Follow() | Unreachable():
                pass
            case _:
                assert_never(event)
        self._on_event(event)


class _Elector:
    """The part that runs in the election's thread, and calls ``report`` there."""

    def __init__(self, candidacy: Candidacy, report: Callable[[ElectionEvent], object]) -> None:
        self._candidacy = candidacy
        self._report = report
        self._election = Election(candidacy.identity, candidacy.durations, time.monotonic())
        self._term: Term | None = None
        self._failing = False
        self._finish = asyncio.Event()
        self._release = False

    def finish(self, release: bool) -> None:
        """Make ``run`` return, with or without releasing the Lease. Call it in that thread."""
        self._release = release
        self._finish.set()

    async def run(self) -> None:
        """Read, renew and report until ``finish`` is called."""
        client = await KubeClient.connect(self._candidacy.kubeconfig)
        lease_client = LeaseClient(client, self._candidacy.namespace, self._candidacy.lease)
        try:
            while not self._finish.is_set():
                await self._perform(lease_client, self._election.handle_timeout(time.monotonic()))
                deadline = self._election.next_deadline()
                if deadline is not None:
                    await self._wait(deadline - time.monotonic())
            if self._release:
                for effect in self._election.release(time.monotonic()):
                    if isinstance(effect, Write):
                        await self._ask(lease_client, effect)
        finally:
            await client.close()

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._finish.wait()

    async def _perform(self, client: LeaseClient, effects: tuple[Effect, ...]) -> None:
        waiting = deque(effects)
        while waiting:
            effect = waiting.popleft()
            match effect:
                case Read() | Write():
                    answer = await self._ask(client, effect)
                    waiting.extend(self._election.receive(answer, time.monotonic()))
                case Lead(until):
                    self._lead(until)
                case LeadershipLost():
                    self._lose(effect)
                case Follow():
                    self._report(effect)
                case _:
                    assert_never(effect)

    def _lead(self, until: float) -> None:
        if self._term is not None:
            self._term.fence.open_until(until)
            return
        self._term = Term()
        self._term.fence.open_until(until)
        self._report(Gained(self._term))

    def _lose(self, effect: LeadershipLost) -> None:
        if self._term is not None:
            self._term.fence.shut()
            self._term = None
        self._report(effect)

    async def _ask(self, client: LeaseClient, effect: Read | Write) -> Answer:
        try:
            async with asyncio.timeout(effect.within):
                lease = await self._answer(client, effect)
        except NotFoundError:
            return Absent()
        except ConflictError:
            return Conflict()
        except (ApiError, TimeoutError) as error:
            if not self._failing:
                self._failing = True
                self._report(Unreachable(ApiError(str(error) or "no answer in time")))
            return Failed()
        if lease is None:
            return Absent()
        self._failing = False
        return Found(lease)

    async def _answer(self, client: LeaseClient, effect: Read | Write) -> Lease | None:
        match effect:
            case Read():
                return await client.read()
            case Write(version=""):
                return await client.create(self._spec(effect))
            case Write(version=version):
                return await client.replace(self._spec(effect), version)
            case _:
                assert_never(effect)

    def _spec(self, write: Write) -> LeaseSpec:
        now = micro_time()
        return LeaseSpec(
            holder_identity=write.holder,
            lease_duration_seconds=self._candidacy.durations.lease,
            acquire_time=write.acquired or now,
            renew_time=now,
            lease_transitions=write.transitions,
        )
