"""Metrics page, as read by Prometheus' own parser."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from metallb_py.runtime.metrics import Metrics


def samples(metrics: Metrics) -> dict[tuple[str, tuple[str, ...]], float]:
    """Return the values on the page, by the series' name and its labels' values."""
    page, content_type = metrics.render()
    assert content_type.startswith("text/plain")
    families = text_string_to_metric_families(page.decode())
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }
