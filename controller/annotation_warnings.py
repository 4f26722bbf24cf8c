"""Warnings about misspelled annotations; short: it adds rate limits to ``near_misses``."""

from __future__ import annotations

from metallb_py.kube.annotation_names import NearMiss, near_misses
from metallb_py.kube.objects import Service
from metallb_py.rate_limit import Rate, RateLimiter

# A tenant may write annotations as fast as the API server accepts them.
_EACH_NAMESPACE = Rate(burst=10, per_second=0.1)
_TOTAL = Rate(burst=50, per_second=1.0)


class AnnotationWarnings:
    """Reports each near miss of a Service once, within the rate limits."""

    def __init__(self) -> None:
        self._reported: dict[str, frozenset[NearMiss]] = {}
        self._limiter = RateLimiter(_EACH_NAMESPACE, _TOTAL)

    def changed(self, key: str, service: Service | None, now: float) -> tuple[NearMiss, ...]:
        """Return the unreported near misses of a new, changed or deleted (None) Service.

        Those that exceed the rate are reported at the Service's next change.
        """
        applies = service is not None and service.is_load_balancer
        found = near_misses(service.metadata.annotations or ()) if service and applies else ()
        known = self._reported.pop(key, frozenset()) & set(found)
        namespace = key.partition("/")[0]
        new = tuple(
            miss for miss in found if miss not in known and self._limiter.admit(namespace, now)
        )
        if found:
            self._reported[key] = known | set(new)
        return new
