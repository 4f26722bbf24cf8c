"""Writer of ``status.loadBalancer``: several services at a time, the latest status of each.

A write contains the resource version of the service on which it was decided. If the object was
changed since, the server refuses the write, and the core decides again on the new version.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from controller.effects import POOL_ANNOTATION, WriteStatus
from metallb_py.errors import ApiError, NotFoundError
from metallb_py.kube.client import KubeClient
from metallb_py.kube.workqueue import WorkQueue

WORKERS = 16


@dataclass(frozen=True, slots=True)
class Written:
    """Success of a status write."""

    key: str


@dataclass(frozen=True, slots=True)
class WriteFailed:
    """Failure of a status write. ``RetryDue`` follows, or the outcome of a later write."""

    key: str
    error: ApiError


@dataclass(frozen=True, slots=True)
class RetryDue:
    """The delay after a failed write ended; the core has to decide again."""

    key: str


StatusEvent = Written | WriteFailed | RetryDue


class StatusWriter:
    """Writes the latest status of each service."""

    def __init__(
        self, client: KubeClient, on_event: Callable[[StatusEvent], Awaitable[None]]
    ) -> None:
        self._client = client
        self._on_event = on_event
        self._queue = WorkQueue[str, WriteStatus | RetryDue]("status writer")

    def write(self, request: WriteStatus) -> None:
        """Request a write, replacing an earlier request for the service. Return without waiting."""
        self._queue.add(request.service.key, request)

    def forget(self, key: str) -> None:
        """Forget the failures of a deleted service."""
        self._queue.forget(key)

    async def run(self) -> None:
        """Write until cancelled."""
        await self._queue.run(self._process, WORKERS)

    async def _process(self, key: str, item: WriteStatus | RetryDue) -> None:
        if isinstance(item, RetryDue):
            await self._on_event(item)
            return
        try:
            await self._write(item)
        except NotFoundError:
            self._queue.forget(key)  # deleted meanwhile: the watch will report it
        except ApiError as error:
            self._queue.retry(key, RetryDue(key), error)
            await self._on_event(WriteFailed(key, error))
        else:
            self._queue.forget(key)
            await self._on_event(Written(key))

    async def _write(self, request: WriteStatus) -> None:
        meta = request.service.metadata
        path = f"/api/v1/namespaces/{meta.namespace}/services/{meta.name}/status"
        ingress = [{"ip": str(address)} for address in request.addresses] or None
        # An update of the status may change annotations, too; a merge patch removes what is null.
        annotations = {POOL_ANNOTATION: request.pool or None}
        await self._client.patch(
            path,
            {
                "metadata": {
                    "uid": meta.uid,
                    "resourceVersion": meta.resource_version,
                    "annotations": annotations,
                },
                "status": {"loadBalancer": {"ingress": ingress}},
            },
        )
