"""Base of the daemons' Prometheus metrics, with MetalLB's names, labels and meanings.

Dashboards and alerts made for MetalLB keep working. Some of its counters, such as
``..._requests_received`` and ``..._responses_sent``, lack the suffix that the Prometheus library
forces onto counters; they are exported as untyped series, which queries treat alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from metallb_py.runtime.series import Family, Series

prometheus_client.disable_created_metrics()


class _SingleFamily(Collector):
    """Collector of one family, so that the library formats that one."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> tuple[Metric, ...]:
        """Return the family."""
        return (self._metric,)


class Metrics:
    """Page of one process' metrics. The methods ``counter`` to ``series`` add a metric to it."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)

    def counter(self, name: str, documentation: str, labels: Sequence[str] = ()) -> Counter:
        """Add a counter; the library appends ``_total`` to a name without it."""
        return Counter(name, documentation, labels, registry=self.registry)

    def gauge(self, name: str, documentation: str, labels: Sequence[str] = ()) -> Gauge:
        """Add a gauge."""
        return Gauge(name, documentation, labels, registry=self.registry)

    def histogram(self, name: str, documentation: str, buckets: Sequence[float]) -> Histogram:
        """Add a histogram; ``buckets`` are the upper bounds."""
        return Histogram(name, documentation, buckets=buckets, registry=self.registry)

    def series(
        self, name: str, documentation: str, labels: Sequence[str], kind: str = "unknown"
    ) -> Series:
        """Add a family of many series, by default a counter of MetalLB without ``_total``."""
        series = Series(name, documentation, tuple(labels), kind)
        self.registry.register(series)
        return series

    def render(self) -> tuple[bytes, str]:
        """Return the page and its content type.

        May run in another thread than the one that updates the metrics.
        """
        page = [
            metric.text().encode()
            if isinstance(metric, Family)
            else prometheus_client.generate_latest(_SingleFamily(metric))
            for metric in self.registry.collect()
        ]
        return b"".join(page), prometheus_client.CONTENT_TYPE_PLAIN_0_0_4


class ClientMetrics(Metrics):
    """Metrics of both daemons, on their use of Kubernetes."""

    def __init__(self) -> None:
        super().__init__()
        self.updates = self.counter(
            "metallb_k8s_client_updates_total", "Changes of Kubernetes objects that were handled"
        )
        self.update_errors = self.counter(
            "metallb_k8s_client_update_errors_total",
            "Changes of Kubernetes objects whose handling failed and is retried",
        )
        self.undecodable = self.counter(
            "metallb_k8s_client_undecodable_total",
            "Versions of Kubernetes objects that could not be decoded completely, by kind; the "
            "last good version, or the decodable part, stays in force",
            ["kind"],
        )
        self.config_loaded = self.gauge(
            "metallb_k8s_client_config_loaded_bool", "1 once a configuration was loaded"
        )
        self.config_stale = self.gauge(
            "metallb_k8s_client_config_stale_bool",
            "1 while the latest configuration is refused and an earlier one is in force",
        )
        self.state_unusable = self.counter(
            "metallb_k8s_client_config_state_unusable_total",
            "Times that the stored state of the configuration was damaged, or was another "
            "ConfigMap's",
        )
