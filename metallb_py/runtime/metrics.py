"""Base of the daemons' Prometheus metrics, with MetalLB's names, labels and meanings.

Dashboards and alerts made for MetalLB keep working. Some of its counters, such as
``..._requests_received`` and ``..._responses_sent``, lack the suffix that the Prometheus library
forces onto counters; they are exported as untyped series, which queries treat alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import Metric, Sample
from prometheus_client.registry import Collector

Values = list[tuple[tuple[str, ...], tuple[str, float]]]


class Family(Metric):
    """One family as collected for a scrape; samples are created only where they are read."""

    def __init__(
        self, name: str, documentation: str, kind: str, labels: tuple[str, ...], series: Values
    ) -> None:
        self._labels = labels
        self._series = series
        super().__init__(name, documentation, kind)

    @property
    def samples(self) -> list[Sample]:
        """Samples, for readers other than the page."""
        return [
            Sample(self.name, dict(zip(self._labels, values, strict=True)), value)
            for values, (_, value) in self._series
        ]

    @samples.setter
    def samples(self, _: list[Sample]) -> None:
        """Ignore the value that the library's base class sets."""

    def text(self) -> str:
        """Return the family in the text exposition format."""
        kind = "untyped" if self.type == "unknown" else self.type
        head = f"# HELP {self.name} {self.documentation}\n# TYPE {self.name} {kind}\n"
        return head + "".join([f"{key} {value!r}\n" for _, (key, value) in self._series])


class Series(Collector):
    """A family of series that are added and removed, in the order of their creation.

    ``kind`` is "gauge" or "unknown"; a counter would get the suffix ``_total`` from the library.
    """

    def __init__(self, name: str, documentation: str, labels: tuple[str, ...], kind: str) -> None:
        self._name = name
        self._documentation = documentation
        self._kind = kind
        self._labels = labels
        # By the labels' values: the formatted name and labels, and the value.
        self._series: dict[tuple[str, ...], tuple[str, float]] = {}

    def set(self, value: float, *labels: str) -> None:
        """Set the value of one series."""
        key, _ = self._series.get(labels) or (self._key(labels), 0.0)
        self._series[labels] = key, float(value)

    def add(self, amount: float, *labels: str) -> None:
        """Add an amount to the value of one series."""
        key, value = self._series.get(labels) or (self._key(labels), 0.0)
        self._series[labels] = key, value + amount

    def forget(self, *labels: str) -> None:
        """Remove one series, if it exists."""
        self._series.pop(labels, None)

    def collect(self) -> Iterator[Family]:
        """Yield the current family for the registry; the page does this in another thread."""
        series = list(self._series.items())
        yield Family(self._name, self._documentation, self._kind, self._labels, series)

    def _key(self, values: tuple[str, ...]) -> str:
        pairs = sorted(zip(self._labels, values, strict=True))
        text = ",".join(f'{name}="{_escape(value)}"' for name, value in pairs)
        return f"{self._name}{{{text}}}"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


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
