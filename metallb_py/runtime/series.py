"""Metric families with many thousands of series, which format themselves.

The Prometheus library takes 14 µs for each series of each scrape, half a second for 10,000
addresses. Here a series' name and labels are formatted once, when the series is created.
"""

from __future__ import annotations

from collections.abc import Iterator

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
