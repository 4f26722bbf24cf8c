"""Writes annotations of one object, for everybody to see."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from metallb_py.backoff import ITEM_RETRY
from metallb_py.errors import ApiError, NotFoundError
from metallb_py.kube.client import KubeClient

Annotations = Mapping[str, str | None]
"""Values by name; None removes one."""


class AnnotationWriter:
    """Writes the latest wish, until it stands there."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._wish: tuple[str, Annotations] | None = None
        self._woken = asyncio.Event()

    def write(self, path: str, annotations: Annotations) -> None:
        """Have annotations written onto the object at a path of the API. Returns at once.

        This takes the place of what is not written yet.
        """
        self._wish = (path, annotations)
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
                    self._fulfilled(wish)  # deleted meanwhile: there is nothing to write onto
                except ApiError as error:
                    failures += 1
                    if failures == 1:
                        on_error(error)
                    await asyncio.sleep(ITEM_RETRY.delay(failures))
                else:
                    self._fulfilled(wish)

    async def _write(self, path: str, annotations: Annotations) -> None:
        # A merge patch removes what is null.
        await self._client.patch(path, {"metadata": {"annotations": annotations}})

    def _fulfilled(self, wish: tuple[str, Annotations]) -> None:
        if self._wish is wish:
            self._wish = None
