"""Answers to reviews of the ConfigMap: its problems, or its effects on services."""

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
from metallb_py.kube.configmap import ParsedConfig
from metallb_py.kube.listing import take_snapshot
from metallb_py.model.config import Config
from metallb_py.runtime.compile_worker import CompileWorker

# In seconds, of the 5 s that the API server waits: for the whole answer, for the turn and the
# compilation, and for the effects on services, which the answer may omit.
ANSWER_SECONDS = 4.5
COMPILE_SECONDS = 4.0
PLAN_TIMEOUT = 3.0


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
        # A separate worker: a flood of reviews must not delay the controller's configuration.
        self._worker = CompileWorker()
        self._gate = ReviewGate()

    async def answer(self, body: bytes, caller: Caller) -> bytes:
        """Return the encoded answer to a review.

        An untrusted caller gets the problems of the text that it submitted, and no information
        about the cluster. Raises AdmissionError if the body is not a review or the check takes too
        long, and BusyError if too many reviews wait.
        """
        request = read_review(body, self._namespace, self._name)
        if request.text is None:
            return request.answer()
        latest = asyncio.get_running_loop().time() + ANSWER_SECONDS
        try:
            async with asyncio.timeout(COMPILE_SECONDS) as limit, self._gate.turn(caller):
                parsed = await self._compile(request.text)
                limit.reschedule(None)
                effects: tuple[str, ...] = ()
                if caller.trusted and parsed.config is not None:
                    effects = await self._plan(parsed.config, latest)
        except TimeoutError as error:
            raise BusyError(
                f"the configuration was not checked within {COMPILE_SECONDS} s: too large, or too "
                "many reviews at once"
            ) from error
        return request.answer(parsed, effects)

    async def _compile(self, text: str | Problem) -> ParsedConfig:
        if isinstance(text, Problem):
            return ParsedConfig("", problems=(text,))
        return await self._worker.compile(text)

    async def _plan(self, config: Config, latest: float) -> tuple[str, ...]:
        seconds = min(PLAN_TIMEOUT, latest - asyncio.get_running_loop().time())
        try:
            async with asyncio.timeout(seconds):
                snapshot = await take_snapshot(self._client, self._namespace, self._name)
                # In the worker's thread: it takes a second for thousands of services.
                plan = await self._worker.run(
                    lambda _: make_plan(snapshot, config, self._policy, self._class)
                )
        except (ApiError, TimeoutError) as error:
            why = str(error) or "no answer in time"
            return (f"the effects on services are not known: {why}",)
        return warnings(plan)
