"""Writer of object annotations; each annotation is written and retried on its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from metallb_py.backoff import ITEM_RETRY
from metallb_py.errors import ApiError, NotFoundError
from metallb_py.kube.client import KubeClient

Annotations = Mapping[str, str | None]
"""Values by name; None removes an annotation."""

# The API server rejects the content: the annotations of an object are limited to 256 KiB in total.
CONTENT_REFUSED = frozenset({400, 413, 422})
REMEMBERED = 64  # rejected values that are not sent again

# API path of the object, and name of the annotation.
_Key = tuple[str, str]


@dataclass(slots=True)
class _Pending:
    """A value that is not written yet; ``due`` is the time of the next attempt."""

    value: str | None
    failures: int = 0
    due: float = 0.0


class AnnotationWriter:
    """Retries the latest value of each annotation until it is written.

    A value that the API server rejects for its content is not sent again until it changes. Any
    other failure is retried with exponential backoff, up to a minute apart.
    """

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._pending: dict[_Key, _Pending] = {}
        self._refused: dict[_Key, str | None] = {}
        self._woken = asyncio.Event()

    def write(self, path: str, annotations: Annotations) -> None:
        """Queue annotations of the object at an API path. Returns at once.

        A value replaces an earlier one that is not written yet.
        """
        for name, value in annotations.items():
            key = (path, name)
            if key in self._refused:
                if self._refused[key] == value:
                    continue
                del self._refused[key]
            pending = self._pending.get(key)
            if pending is not None and pending.value == value:
                continue
            self._pending[key] = _Pending(value)
            self._woken.set()

    async def run(self, on_error: Callable[[ApiError], None]) -> None:
        """Write until cancelled. A failure is reported once per value, and retried."""
        loop = asyncio.get_running_loop()
        while True:
            await self._wait(loop.time())
            self._woken.clear()
            for key, pending in list(self._pending.items()):
                if pending.due <= loop.time() and self._pending.get(key) is pending:
                    await self._write(key, pending, on_error)

    async def _wait(self, now: float) -> None:
        """Wait until a value is queued or an attempt is due."""
        due = min((pending.due for pending in self._pending.values()), default=None)
        try:
            async with asyncio.timeout(None if due is None else max(0.0, due - now)):
                await self._woken.wait()
        except TimeoutError:
            return

    async def _write(
        self, key: _Key, pending: _Pending, on_error: Callable[[ApiError], None]
    ) -> None:
        path, name = key
        try:
            # A merge patch removes members that are null (RFC 7386).
            await self._client.patch(path, {"metadata": {"annotations": {name: pending.value}}})
        except NotFoundError:
            self._done(key, pending)  # the object was deleted
        except ApiError as error:
            pending.failures += 1
            if error.status in CONTENT_REFUSED:
                if self._pending.get(key) is pending:
                    self._refused[key] = pending.value
                    if len(self._refused) > REMEMBERED:
                        del self._refused[next(iter(self._refused))]
                self._done(key, pending)
            pending.due = asyncio.get_running_loop().time() + error.delay(
                ITEM_RETRY.delay(pending.failures)
            )
            if pending.failures == 1:
                on_error(error)
        else:
            self._done(key, pending)

    def _done(self, key: _Key, pending: _Pending) -> None:
        if self._pending.get(key) is pending:
            del self._pending[key]
