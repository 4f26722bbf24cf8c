"""Writes what the other speakers are to know of this node onto its speaker's own pod.

Through the pod's status, which takes annotations, too: the right to write a whole pod would be the
right to replace its programs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from metallb_py.backoff import ITEM_RETRY
from metallb_py.errors import ApiError, NotFoundError
from metallb_py.kube.client import KubeClient


class PodAnnotation:
    """Keeps one annotation of one pod as it was wished last."""

    def __init__(self, client: KubeClient, namespace: str, annotation: str) -> None:
        self._client = client
        self._path = f"/api/v1/namespaces/{namespace}/pods"
        self._annotation = annotation
        self._wish: tuple[str, str] | None = None
        self._woken = asyncio.Event()

    def write(self, pod: str, text: str) -> None:
        """Have a text written onto a pod. Returns at once; a wish that stands is not repeated."""
        if self._wish != (pod, text):
            self._wish = (pod, text)
            self._woken.set()

    async def run(self, on_error: Callable[[ApiError], None]) -> None:
        """Write until cancelled. What fails is told once, and tried again."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            failures = 0
            while not await self._done(failures, on_error):
                failures += 1
                await asyncio.sleep(ITEM_RETRY.delay(failures))

    async def _done(self, failures: int, on_error: Callable[[ApiError], None]) -> bool:
        wish = self._wish
        if wish is None:
            return True
        pod, text = wish
        body = {"metadata": {"annotations": {self._annotation: text}}}
        try:
            await self._client.patch(f"{self._path}/{pod}/status", body)
        except NotFoundError:
            return True  # a new pod will be told of
        except ApiError as error:
            if not failures:
                on_error(error)
            return False
        return True
