"""Answers reviews of the ConfigMap: with its problems, or with what it would do to services."""

from __future__ import annotations

import asyncio

from controller.admission import read_review
from controller.orphans import OrphanPolicy
from controller.plan import make_plan
from controller.plan_text import warnings
from metallb_py.config.model import Config
from metallb_py.errors import ApiError
from metallb_py.kube.client import KubeClient
from metallb_py.kube.listing import take_snapshot

# Of the 5 s that the API server waits for an answer, which may come without any foresight.
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

    async def answer(self, body: bytes) -> bytes:
        """Return the answer to a review. Raises AdmissionError where it is none."""
        question = read_review(body, self._namespace, self._name)
        config = question.reading.config if question.reading else None
        return question.answer(await self._foresee(config) if config else ())

    async def _foresee(self, config: Config) -> tuple[str, ...]:
        try:
            async with asyncio.timeout(FORESIGHT_SECONDS):
                snapshot = await take_snapshot(self._client, self._namespace, self._name)
                # In a thread: for thousands of services it takes a second, and the loop goes on.
                plan = await asyncio.to_thread(
                    make_plan, snapshot, config, self._policy, self._class
                )
        except (ApiError, TimeoutError) as error:
            why = str(error) or "no answer in time"
            return (f"what it would do to services is not known: {why}",)
        return warnings(plan)
