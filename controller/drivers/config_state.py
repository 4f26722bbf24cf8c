"""Keeps the stored state of the configuration as the controller wants it to be."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from metallb_py.backoff import ITEM_RETRY
from metallb_py.errors import ApiError, ConflictError, NotFoundError
from metallb_py.kube.annotations import CONTENT_REFUSED
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
from metallb_py.kube.decoding import decode as decode_answer
from metallb_py.kube.objects import ConfigMap


@dataclass(frozen=True, slots=True)
class StateStored:
    """The state stands as wanted. ``repaired``: another writer had changed or deleted it."""

    repaired: bool = False


@dataclass(frozen=True, slots=True)
class StateNotStored:
    """The state can't be stored. Reported once for each state and reason."""

    error: str


StateEvent = StateStored | StateNotStored


class StateWriter:
    """Writes the latest state that it was given, and writes it again where it was changed.

    Each write of the same state waits longer than the one before, up to a minute, so that two
    writers that disagree do not wear the API server out.
    """

    def __init__(
        self, client: KubeClient, names: StateNames, on_event: Callable[[StateEvent], None]
    ) -> None:
        self._client = client
        self._names = names
        self._on_event = on_event
        self._path = f"/api/v1/namespaces/{names.namespace}/configmaps"
        self._objects: dict[str, ConfigMap] = {}
        self._versions: dict[str, int] = {}  # of our own writes that the watch has not shown yet
        self._wanted: Stored | None = None
        self._has_wish = False
        self._given_up = False
        self._writes = 0  # of the present wish
        self._stood = False  # whether the present wish was stored once
        self._told = ""
        self._patience = 0.0  # how long the server wants to be left alone
        self._woken = asyncio.Event()
        self._changed = asyncio.Event()

    def write(self, wanted: Stored | None) -> bool:
        """Have a state stored; None where there is nothing to keep. Returns at once.

        Returns whether an event will follow: not where this was wanted before.
        """
        if self._has_wish and wanted == self._wanted:
            return False
        self._wanted, self._has_wish = wanted, True
        self._given_up = self._stood = False
        self._writes = 0
        self._told = ""
        self._changed.set()
        self._woken.set()
        return True

    def observed(self, name: str, item: ConfigMap | None) -> None:
        """One of the objects changed, as the watch shows it."""
        if item is None:
            self._objects.pop(name, None)
        elif name in self._names.all:
            own = self._versions.get(name)
            version = item.metadata.resource_version
            if own is not None and version.isdecimal() and int(version) < own:
                return  # from before our write
            self._versions.pop(name, None)
            self._objects[name] = item
        self._woken.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            if not self._has_wish or self._given_up or self._is_stored():
                continue
            await self._pause(ITEM_RETRY.delay(self._writes) + self._patience)
            self._patience = 0.0
            self._writes += 1
            wanted = self._wanted
            try:
                for step in write_steps(self._names, self._objects, wanted):
                    await self._perform(step)
            except StateError as error:
                self._failed(str(error), for_good=wanted == self._wanted)
            except ApiError as error:
                self._patience = error.retry_after or 0.0
                self._failed(str(error), for_good=error.status in CONTENT_REFUSED)
                self._woken.set()
            else:
                if wanted == self._wanted:
                    self._succeeded()
            if wanted != self._wanted:
                self._given_up = False
                self._woken.set()

    async def _pause(self, seconds: float) -> None:
        """Wait; not any longer where another state is wanted meanwhile."""
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
        if stored and not self._stood:
            self._succeeded()
        return stored

    def _succeeded(self) -> None:
        repaired, self._stood, self._told = self._stood, True, ""
        self._on_event(StateStored(repaired))

    def _failed(self, error: str, *, for_good: bool) -> None:
        self._given_up = for_good
        if error != self._told:
            self._told = error
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
        except ConflictError as error:  # made meanwhile: replace it the next time
            raise ApiError(str(error), error.status) from error
