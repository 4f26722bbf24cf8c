"""Writes annotations of objects, each by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from metallb_py.backoff import ITEM_RETRY
from metallb_py.errors import ApiError, NotFoundError
from metallb_py.kube.client import KubeClient

Annotations = Mapping[str, str | None]
"""Values by name; None removes one."""

# The API server refuses the content: all annotations of an object may have 256 KiB together.
CONTENT_REFUSED = frozenset({400, 413, 422})
REMEMBERED = 64  # refused values

_Place = tuple[str, str]


@dataclass(slots=True)
class _Wish:
    value: str | None
    failures: int = 0
    due: float = 0.0


class AnnotationWriter:
    """Writes the latest value of each annotation, until it stands there.

    One that the API server refuses for its content is not sent again before it has another value;
    any other failure is tried again, later each time, up to a minute apart.
    """

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._wishes: dict[_Place, _Wish] = {}
        self._refused: dict[_Place, str | None] = {}
        self._woken = asyncio.Event()

    def write(self, path: str, annotations: Annotations) -> None:
        """Have annotations written onto the object at a path of the API. Returns at once.

        A value takes the place of one that is not written yet.
        """
        for name, value in annotations.items():
            place = (path, name)
            if place in self._refused:
                if self._refused[place] == value:
                    continue
                del self._refused[place]
            pending = self._wishes.get(place)
            if pending is not None and pending.value == value:
                continue
            self._wishes[place] = _Wish(value)
            self._woken.set()

    async def run(self, on_error: Callable[[ApiError], None]) -> None:
        """Write until cancelled. What fails is reported once, and tried again."""
        loop = asyncio.get_running_loop()
        while True:
            await self._wait(loop.time())
            self._woken.clear()
            for place, wish in list(self._wishes.items()):
                if wish.due <= loop.time() and self._wishes.get(place) is wish:
                    await self._write(place, wish, on_error)

    async def _wait(self, now: float) -> None:
        """Wait for a new wish, or until one is due."""
        due = min((wish.due for wish in self._wishes.values()), default=None)
        try:
            async with asyncio.timeout(None if due is None else max(0.0, due - now)):
                await self._woken.wait()
        except TimeoutError:
            return

    async def _write(
        self, place: _Place, wish: _Wish, on_error: Callable[[ApiError], None]
    ) -> None:
        path, name = place
        try:
            # A merge patch removes what is null.
            await self._client.patch(path, {"metadata": {"annotations": {name: wish.value}}})
        except NotFoundError:
            self._done(place, wish)  # deleted meanwhile: there is nothing to write onto
        except ApiError as error:
            wish.failures += 1
            if error.status in CONTENT_REFUSED:
                if self._wishes.get(place) is wish:
                    self._refused[place] = wish.value
                    if len(self._refused) > REMEMBERED:
                        del self._refused[next(iter(self._refused))]
                self._done(place, wish)
            wish.due = asyncio.get_running_loop().time() + error.delay(
                ITEM_RETRY.delay(wish.failures)
            )
            if wish.failures == 1:
                on_error(error)
        else:
            self._done(place, wish)

    def _done(self, place: _Place, wish: _Wish) -> None:
        if self._wishes.get(place) is wish:
            del self._wishes[place]
