"""Which annotations that have no effect are worth a warning now."""

from __future__ import annotations

from metallb_py.kube.annotation_names import NearMiss, near_misses
from metallb_py.kube.objects import Service
from metallb_py.rate_limit import Rate, RateLimiter

# A tenant may write annotations as fast as the API server takes them.
_EACH_NAMESPACE = Rate(burst=10, per_second=0.1)
_TOTAL = Rate(burst=50, per_second=1.0)


class AnnotationWarnings:
    """Returns each near miss of a Service once, as often as the rate allows."""

    def __init__(self) -> None:
        self._told: dict[str, frozenset[NearMiss]] = {}
        self._limiter = RateLimiter(_EACH_NAMESPACE, _TOTAL)

    def changed(self, key: str, service: Service | None, now: float) -> tuple[NearMiss, ...]:
        """Return what is new about a Service that appeared, changed or is gone (None).

        What the rate does not allow is left for the Service's next change.
        """
        asks = service is not None and service.is_load_balancer
        found = near_misses(service.metadata.annotations or ()) if service and asks else ()
        known = self._told.pop(key, frozenset()) & set(found)
        namespace = key.partition("/")[0]
        new = tuple(
            miss for miss in found if miss not in known and self._limiter.admit(namespace, now)
        )
        if found:
            self._told[key] = known | set(new)
        return new
