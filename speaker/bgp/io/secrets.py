"""Polling of Secrets by their names, with no right but to get them.

A watch would need the rights to list and to watch Secrets as well. So each one is read
periodically, with one small request.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable

from metallb_py.errors import ApiError, NotFoundError, UndecodableError
from metallb_py.kube.client import KubeClient
from metallb_py.kube.decoding import decode
from metallb_py.kube.objects import KubeObject
from speaker.bgp.passwords import Contents, Outcome, SecretUnavailable

PERIOD = 10.0  # seconds from one reading to the next
JITTER = 0.2  # greatest random reduction of it, so that nodes that start together drift apart
FORBIDDEN = (401, 403)


class _Secret(KubeObject, frozen=True):
    """The part of a Secret that is used."""

    data: dict[str, str] | None = None


class SecretFollower:
    """Reads Secrets of one namespace; ``on_change`` is called with each outcome that changed."""

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
        self._reported: dict[str, Outcome] = {}
        self._wake = asyncio.Event()
        self._retry_after = 0.0  # seconds that the server asked to wait

    def follow(self, names: Iterable[str]) -> None:
        """Read exactly these Secrets from now on; new ones are read at once."""
        wanted = frozenset(names)
        if wanted != self._names:
            self._names = wanted
            self._reported = {
                name: outcome for name, outcome in self._reported.items() if name in wanted
            }
            self._wake.set()

    async def run(self) -> None:
        """Read the Secrets periodically until cancelled."""
        while True:
            for name in sorted(self._names):
                await self._read(name)
            await self._sleep()

    async def _sleep(self) -> None:
        delay = self._period * (1.0 - JITTER * random.random()) if self._names else None
        retry_after, self._retry_after = self._retry_after, 0.0
        if delay is not None and retry_after:
            delay = max(delay, retry_after)
        try:
            async with asyncio.timeout(delay):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    async def _read(self, name: str) -> None:
        outcome = await self._outcome(name)
        if name in self._names and outcome is not None and outcome != self._reported.get(name):
            self._reported[name] = outcome
            self._on_change(name, outcome)

    async def _outcome(self, name: str) -> Outcome | None:
        """Read a Secret; return None for a failure of the server after an earlier outcome."""
        try:
            secret = decode(await self._client.get(f"{self._path}/{name}"), _Secret)
        except NotFoundError:
            return SecretUnavailable("there is no such Secret")
        except UndecodableError:
            return SecretUnavailable("unexpected answer of the API server")
        except ApiError as error:
            self._retry_after = max(self._retry_after, error.retry_after or 0.0)
            if error.status in FORBIDDEN:
                return SecretUnavailable(f"{error}: want the right to get it")
            return None if name in self._reported else SecretUnavailable(str(error))
        return Contents(secret.data or {})
