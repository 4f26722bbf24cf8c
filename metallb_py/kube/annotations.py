"""Writer of object annotations; each annotation is written and retried on its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from metallb_py.errors import ApiError, NotFoundError
from metallb_py.kube.client import KubeClient
from metallb_py.kube.workqueue import WorkQueue

Annotations = Mapping[str, str | None]
"""Values by name; None removes an annotation."""

# The API server rejects the content: the annotations of an object are limited to 256 KiB in total.
CONTENT_REFUSED = frozenset({400, 413, 422})

# API path of the object, and name of the annotation.
_Key = tuple[str, str]


@dataclass(slots=True, eq=False)
class _Wanted:
    """A value that is not written yet, and whether a failure of it was reported."""

    value: str | None
    is_reported: bool = False


class AnnotationWriter:
    """Retries the latest value of each annotation until it is written.

    A value that the API server rejects for its content is not sent again until it changes. Any
    other failure is retried with exponential backoff, up to a minute apart.
    """

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._queue = WorkQueue[_Key, _Wanted]("annotation writer")
        # The latest values that are queued or were rejected. Callers annotate one or two objects.
        self._unwritten: dict[_Key, _Wanted] = {}

    def write(self, path: str, annotations: Annotations) -> None:
        """Queue annotations of the object at an API path. Returns at once.

        A value replaces an earlier one that is not written yet.
        """
        for name, value in annotations.items():
            key = (path, name)
            unwritten = self._unwritten.get(key)
            if unwritten is None or unwritten.value != value:
                self._unwritten[key] = wanted = _Wanted(value)
                self._queue.forget(key)
                self._queue.add(key, wanted)

    async def run(self, on_error: Callable[[ApiError], None]) -> None:
        """Write until cancelled.

        Reports each rejected value, and of the failures that are retried the first of each value.
        """
        await self._queue.run(partial(self._write, on_error), workers=1)

    async def _write(
        self, on_error: Callable[[ApiError], None], key: _Key, wanted: _Wanted
    ) -> None:
        path, name = key
        try:
            # A merge patch removes members that are null (RFC 7386).
            await self._client.patch(path, {"metadata": {"annotations": {name: wanted.value}}})
        except NotFoundError:
            self._done(key, wanted)  # the object was deleted
        except ApiError as error:
            is_refused = error.status in CONTENT_REFUSED
            if not is_refused:
                self._queue.retry(key, wanted, error)
            if is_refused or not wanted.is_reported:
                wanted.is_reported = True
                on_error(error)
        else:
            self._done(key, wanted)

    def _done(self, key: _Key, wanted: _Wanted) -> None:
        self._queue.forget(key)
        if self._unwritten.get(key) is wanted:
            del self._unwritten[key]
