"""Writes the state of the configuration onto its ConfigMap, for everybody to see."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from metallb_py.backoff import ITEM_RETRY
from metallb_py.config.draining import encode_pools
from metallb_py.config.model import Pool
from metallb_py.errors import ApiError, NotFoundError
from metallb_py.kube.client import KubeClient
from metallb_py.kube.configmap import DRAINING, LAST_GOOD, STATUS, Reading, status_annotation


@dataclass(frozen=True, slots=True)
class ConfigState:
    """Which text is in force, which is the latest, and why the latest is not in force.

    ``draining`` are the pools that left the configuration and are still in use.
    """

    in_force: Reading | None
    latest: Reading
    refusal: tuple[str, ...] = ()
    draining: tuple[Pool, ...] = ()


class ConfigStatusWriter:
    """Writes the latest state, until it stands there."""

    def __init__(self, client: KubeClient, namespace: str, name: str) -> None:
        self._client = client
        self._path = f"/api/v1/namespaces/{namespace}/configmaps/{name}"
        self._wish: tuple[ConfigState, str] | None = None
        self._woken = asyncio.Event()

    def write(self, state: ConfigState) -> None:
        """Have a state written, in place of one that is not written yet. Returns at once."""
        self._wish = (state, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
        self._woken.set()

    async def run(self, on_error: Callable[[ApiError], None]) -> None:
        """Write until cancelled. What fails is told once, and tried again."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            failures = 0
            while self._wish is not None:
                wish = self._wish
                try:
                    await self._write(*wish)
                except NotFoundError:
                    self._wish = None  # deleted meanwhile: there is nothing to write onto
                except ApiError as error:
                    failures += 1
                    if failures == 1:
                        on_error(error)
                    await asyncio.sleep(ITEM_RETRY.delay(failures))
                else:
                    if self._wish is wish:
                        self._wish = None

    async def _write(self, state: ConfigState, when: str) -> None:
        status = status_annotation(state.in_force, state.latest, state.refusal, when)
        # A merge patch removes what is null.
        annotations: dict[str, str | None] = {STATUS: status}
        annotations[DRAINING] = encode_pools(state.draining) or None
        if state.in_force is not None:
            annotations[LAST_GOOD] = state.in_force.text
        await self._client.patch(self._path, {"metadata": {"annotations": annotations}})
