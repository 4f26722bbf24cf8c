"""Reports on objects that can't be decoded, in metrics, log and Events. Short: one report.

A user that may write an object can cause a report with every write, so reports are rate limited.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from metallb_py.kube.events import Event, EventType, ObjectReference
from metallb_py.kube.reflector import Undecodable
from metallb_py.rate_limit import Rate, RateLimiter
from metallb_py.runtime.log import Logger
from metallb_py.runtime.metrics import ClientMetrics

REASON = "undecodable"
EACH = Rate(burst=3, per_second=1 / 60)
TOTAL = Rate(burst=20, per_second=1 / 3)


class ObjectReporter:
    """Reports of one daemon; Events only for objects of these ``kinds``."""

    def __init__(
        self,
        log: Logger,
        metrics: ClientMetrics,
        record: Callable[[Event], None],
        kinds: Collection[str],
    ) -> None:
        self._log = log
        self._metrics = metrics
        self._record = record
        self._kinds = frozenset(kinds)
        self._limiter = RateLimiter(EACH, TOTAL)

    def undecodable(self, event: Undecodable) -> None:
        """Report an object, or a new version of it, that can't be decoded completely."""
        self._metrics.undecodable.labels(event.kind).inc()
        admitted = self._limiter.admit((event.kind, event.key), time.monotonic())
        if admitted is None:
            return
        message = f"{event.kind} can't be decoded: {event.error}; {event.in_force.value}"
        suppressed = {"suppressed": admitted.suppressed} if admitted.suppressed else {}
        self._log.error(message, event=REASON, kind=event.kind, object=event.key, **suppressed)
        if event.meta is None or event.kind not in self._kinds:
            return
        meta = event.meta
        about = ObjectReference(
            event.kind, meta.namespace, meta.name, meta.uid, meta.resource_version
        )
        self._record(Event(about, EventType.WARNING, REASON, message))
