"""Follows Secrets by their names, with no more than the right to get them.

A watch would want the rights to list and to watch them as well. So each is read again and again:
one small request for each in a while.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable

from metallb_py.errors import ApiError, NotFoundError, UndecodableError
from metallb_py.kube.client import KubeClient
from metallb_py.kube.decoding import decode
from metallb_py.kube.objects import KubeObject
from speaker.bgp.passwords import Contents, Outcome, Unread

PERIOD = 10.0  # seconds from one reading to the next
JITTER = 0.2  # the greatest part of it that chance takes away: nodes that start together drift
FORBIDDEN = (401, 403)


class _Secret(KubeObject, frozen=True):
    """What is used of a Secret."""

    data: dict[str, str] | None = None


class SecretFollower:
    """Reads Secrets of one namespace; ``on_change`` is told of each whose outcome is news."""

    def __init__(
        self,
        client: KubeClient,
        namespace: str,
        on_change: Callable[[str, Outcome], None],
        period: float = PERIOD,
    ) -> None:
        self._client = client
        self._path = f"/api/v1/namespaces/{namespace}/secrets"
        self._on_change = on_change
        self._period = period
        self._names: frozenset[str] = frozenset()
        self._told: dict[str, Outcome] = {}
        self._wake = asyncio.Event()
        self._patience = 0.0  # how long the server wants to be left alone

    def follow(self, names: Iterable[str]) -> None:
        """Follow these from now on, and no others; what is new is read at once."""
        wanted = frozenset(names)
        if wanted != self._names:
            self._names = wanted
            self._told = {name: told for name, told in self._told.items() if name in wanted}
            self._wake.set()

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            for name in sorted(self._names):
                await self._read(name)
            await self._rest()

    async def _rest(self) -> None:
        delay = self._period * (1.0 - JITTER * random.random()) if self._names else None
        patience, self._patience = self._patience, 0.0
        if delay is not None and patience:
            delay = max(delay, patience)
        try:
            async with asyncio.timeout(delay):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    async def _read(self, name: str) -> None:
        outcome = await self._outcome(name)
        if name in self._names and outcome is not None and outcome != self._told.get(name):
            self._told[name] = outcome
            self._on_change(name, outcome)

    async def _outcome(self, name: str) -> Outcome | None:
        """Return what came of reading one, None where the server was away and knows better."""
        try:
            secret = decode(await self._client.get(f"{self._path}/{name}"), _Secret)
        except NotFoundError:
            return Unread("there is no such Secret")
        except UndecodableError:
            return Unread("unexpected answer of the API server")
        except ApiError as error:
            self._patience = max(self._patience, error.retry_after or 0.0)
            if error.status in FORBIDDEN:
                return Unread(f"{error}: want the right to get it")
            return None if name in self._told else Unread(str(error))
        return Contents(secret.data or {})
