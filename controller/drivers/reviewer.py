"""Answers reviews of the ConfigMap: with its problems, or with what it would do to services."""

from __future__ import annotations

import asyncio

from controller.admission import read_review
from controller.drivers.review_gate import BusyError, Caller, ReviewGate
from controller.orphaned_addresses import OrphanPolicy
from controller.plan import make_plan
from controller.plan_text import warnings
from metallb_py.config.problems import Problem
from metallb_py.errors import ApiError
from metallb_py.kube.client import KubeClient
from metallb_py.kube.configmap import Reading
from metallb_py.kube.listing import take_snapshot
from metallb_py.model.config import Config
from metallb_py.runtime.compile_worker import CompileWorker

# Of the 5 s that the API server waits for an answer, which may come without any foresight.
ANSWER_SECONDS = 4.5
COMPILE_SECONDS = 4.0
FORESIGHT_SECONDS = 3.0


class Reviewer:
    """Reviews the ConfigMap ``namespace/name``."""

    def __init__(
        self, client: KubeClient, namespace: str, name: str, policy: OrphanPolicy, lb_class: str
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self._policy = policy
        self._class = lb_class
        # Its own: who floods the webhook must not keep the controller's configuration waiting.
        self._worker = CompileWorker()
        self._gate = ReviewGate()

    async def answer(self, body: bytes, caller: Caller) -> bytes:
        """Return the answer to a review. Raises AdmissionError where it is none, and BusyError.

        A caller that is not trusted learns about the text that it submitted, and nothing about
        the cluster.
        """
        question = read_review(body, self._namespace, self._name)
        if question.text is None:
            return question.answer()
        latest = asyncio.get_running_loop().time() + ANSWER_SECONDS
        try:
            async with asyncio.timeout(COMPILE_SECONDS) as limit, self._gate.turn(caller):
                reading = await self._compile(question.text)
                limit.reschedule(None)
                effects: tuple[str, ...] = ()
                if caller.trusted and reading.config is not None:
                    effects = await self._foresee(reading.config, latest)
        except TimeoutError as error:
            raise BusyError(
                f"the configuration was not checked within {COMPILE_SECONDS} s: too large, or too "
                "many reviews at once"
            ) from error
        return question.answer(reading, effects)

    async def _compile(self, text: str | Problem) -> Reading:
        if isinstance(text, Problem):
            return Reading("", problems=(text,))
        return await self._worker.compile(text)

    async def _foresee(self, config: Config, latest: float) -> tuple[str, ...]:
        seconds = min(FORESIGHT_SECONDS, latest - asyncio.get_running_loop().time())
        try:
            async with asyncio.timeout(seconds):
                snapshot = await take_snapshot(self._client, self._namespace, self._name)
                # In the thread: for thousands of services it takes a second.
                plan = await self._worker.run(
                    lambda _: make_plan(snapshot, config, self._policy, self._class)
                )
        except (ApiError, TimeoutError) as error:
            why = str(error) or "no answer in time"
            return (f"what it would do to services is not known: {why}",)
        return warnings(plan)
