"""Writers of the record of the configuration: its state in objects, its status as an annotation.

The state's writer restores what other writers change.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from metallb_py.backoff import ITEM_RETRY
from metallb_py.errors import ApiError, ConflictError, NotFoundError
from metallb_py.kube.annotations import CONTENT_REFUSED, AnnotationWriter
from metallb_py.kube.client import KubeClient
from metallb_py.kube.config_state import (
    Delete,
    Put,
    StateError,
    StateNames,
    Step,
    Stored,
    decode,
    is_clean,
    write_steps,
)
from metallb_py.kube.config_status import TIGHT_LIMIT, ConfigStatus, limit_beside
from metallb_py.kube.configmap import DRAINING, LAST_GOOD, STATUS
from metallb_py.kube.decoding import decode as decode_answer
from metallb_py.kube.objects import ConfigMap


@dataclass(frozen=True, slots=True)
class StateStored:
    """Success: the wanted state is stored. ``repaired``: another writer had changed it."""

    repaired: bool = False


@dataclass(frozen=True, slots=True)
class StateNotStored:
    """Failure to store the wanted state. Reported once for each state and error."""

    error: str


StateEvent = StateStored | StateNotStored


class StateWriter:
    """Writes the latest wanted state, and writes it again if another writer changed it.

    Each write of the same state waits longer than the one before, up to a minute, so that two
    writers that disagree do not overload the API server.
    """

    def __init__(
        self, client: KubeClient, names: StateNames, on_event: Callable[[StateEvent], None]
    ) -> None:
        self._client = client
        self._names = names
        self._on_event = on_event
        self._path = f"/api/v1/namespaces/{names.namespace}/configmaps"
        self._objects: dict[str, ConfigMap] = {}
        # Resource versions of our own writes that the watch has not reported yet.
        self._versions: dict[str, int] = {}
        self._wanted: Stored | None = None
        self._has_target = False
        self._failed_for_good = False
        self._writes = 0  # number of attempts to write the wanted state
        self._was_stored = False  # whether the wanted state was stored at some time
        self._reported = ""
        self._retry_after = 0.0  # seconds, as requested by the server
        self._woken = asyncio.Event()
        self._changed = asyncio.Event()

    def write(self, wanted: Stored | None) -> bool:
        """Request that a state be stored; None to delete it. Return without waiting.

        The result is whether an event will follow: False if this state was wanted already.
        """
        if self._has_target and wanted == self._wanted:
            return False
        self._wanted, self._has_target = wanted, True
        self._failed_for_good = self._was_stored = False
        self._writes = 0
        self._reported = ""
        self._changed.set()
        self._woken.set()
        return True

    def observed(self, name: str, item: ConfigMap | None) -> None:
        """Apply a changed or deleted (None) object, as the watch reports it."""
        if item is None:
            self._objects.pop(name, None)
        elif name in self._names.all:
            own = self._versions.get(name)
            version = item.metadata.resource_version
            if own is not None and version.isdecimal() and int(version) < own:
                return  # older than our last write
            self._versions.pop(name, None)
            self._objects[name] = item
        self._woken.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            if not self._has_target or self._failed_for_good or self._is_stored():
                continue
            await self._pause(ITEM_RETRY.delay(self._writes) + self._retry_after)
            self._retry_after = 0.0
            self._writes += 1
            wanted = self._wanted
            try:
                for step in write_steps(self._names, self._objects, wanted):
                    await self._perform(step)
            except StateError as error:
                self._failed(str(error), for_good=wanted == self._wanted)
            except ApiError as error:
                self._retry_after = error.retry_after or 0.0
                self._failed(str(error), for_good=error.status in CONTENT_REFUSED)
                self._woken.set()
            else:
                if wanted == self._wanted:
                    self._succeeded()
            if wanted != self._wanted:
                self._failed_for_good = False
                self._woken.set()

    async def _pause(self, seconds: float) -> None:
        """Wait this long, or until another state is wanted."""
        self._changed.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    def _is_stored(self) -> bool:
        try:
            found = decode(self._names, self._objects)
            stored = found == self._wanted and is_clean(self._names, self._objects)
        except StateError:
            stored = False
        if stored and not self._was_stored:
            self._succeeded()
        return stored

    def _succeeded(self) -> None:
        repaired, self._was_stored, self._reported = self._was_stored, True, ""
        self._on_event(StateStored(repaired))

    def _failed(self, error: str, *, for_good: bool) -> None:
        self._failed_for_good = for_good
        if error != self._reported:
            self._reported = error
            self._on_event(StateNotStored(error))

    async def _perform(self, step: Step) -> None:
        match step:
            case Put(name, body):
                try:
                    answer = await self._client.replace(f"{self._path}/{name}", body)
                except NotFoundError:
                    answer = await self._create(name, body)
                written = decode_answer(answer, ConfigMap)
                self._objects[name] = written
                version = written.metadata.resource_version
                if version.isdecimal():
                    self._versions[name] = int(version)
            case Delete(name):
                item = self._objects.get(name)
                if item is None:
                    return  # deleted meanwhile
                with contextlib.suppress(NotFoundError, ConflictError):
                    await self._client.delete(
                        f"{self._path}/{name}", item.metadata.uid, item.metadata.resource_version
                    )
                self._objects.pop(name, None)

    async def _create(self, name: str, body: object) -> bytes:
        if not isinstance(body, dict):
            raise TypeError(name)
        try:
            return await self._client.create(self._path, body)
        except ConflictError as error:  # created meanwhile: replace it at the next attempt
            raise ApiError(str(error), error.status) from error


class StatusAnnotation:
    """Writes the latest status. If it is refused for its size, it is shortened once."""

    def __init__(self, client: KubeClient, path: str, on_error: Callable[[ApiError], None]) -> None:
        self._path = path
        self._on_error = on_error
        self._writer = AnnotationWriter(client)
        self._shown: ConfigStatus | None = None
        self._shortened = False

    def show(self, status: ConfigStatus, configmap: ConfigMap) -> None:
        """Request that a status be written to this ConfigMap. Return without waiting."""
        if status == self._shown:
            return
        self._shown, self._shortened = status, False
        self._write(status, limit_beside(configmap.metadata.annotations or {}))

    def show_again(self) -> None:
        """Write the next status even if it is unchanged, as the ConfigMap lost it."""
        self._shown = None

    def drop_legacy(self, configmap: ConfigMap) -> None:
        """Remove the annotations of earlier versions, whose content is stored elsewhere now."""
        present = configmap.metadata.annotations or {}
        old = {name: None for name in (LAST_GOOD, DRAINING) if name in present}
        if old:
            self._writer.write(self._path, old)

    async def run(self) -> None:
        """Write until cancelled."""
        await self._writer.run(self._failed)

    def _write(self, status: ConfigStatus, limit: int) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._writer.write(self._path, {STATUS: status.text(now, limit)})

    def _failed(self, error: ApiError) -> None:
        if error.status in CONTENT_REFUSED and not self._shortened and self._shown is not None:
            self._shortened = True
            self._write(self._shown, TIGHT_LIMIT)
            return
        self._on_error(error)
