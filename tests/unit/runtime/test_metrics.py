"""Metrics page of both daemons."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from support.net.metrics_page import samples

from metallb_py.runtime.metrics import ClientMetrics, Series


def test_config_is_neither_loaded_nor_stale_at_first() -> None:
    found = samples(ClientMetrics())
    assert found["metallb_k8s_client_config_loaded_bool", ()] == 0
    assert found["metallb_k8s_client_config_stale_bool", ()] == 0
    assert ("metallb_k8s_client_updates_created", ()) not in found


LABEL = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def text(series: Series) -> str:
    (family,) = series.collect()
    return family.text()


@given(st.dictionaries(st.tuples(LABEL, LABEL), st.floats(allow_nan=False, allow_infinity=False)))
def test_page_equals_that_of_prometheus_client(values: dict[tuple[str, str], float]) -> None:
    registry = CollectorRegistry()
    gauge = Gauge("x_y", "Some words", ["b", "a"], registry=registry)
    series = Series("x_y", "Some words", ("b", "a"), "gauge")
    for labels, value in values.items():
        gauge.labels(*labels).set(value)
        series.set(value, *labels)
    ours, theirs = text(series).split("\n"), generate_latest(registry).decode().split("\n")
    assert [line.rpartition(" ")[0] for line in ours] == [x.rpartition(" ")[0] for x in theirs]
    numbers = [line.rpartition(" ")[2] for line in ours if not line.startswith("#") and line]
    assert [float(number) for number in numbers] == list(values.values())


def test_series_are_counted_and_forgotten() -> None:
    series = Series("x", "Some words", ("ip",), "unknown")
    series.add(2, "192.0.2.1")
    series.add(3, "192.0.2.1")
    series.add(1, "192.0.2.2")
    series.forget("192.0.2.2")
    series.forget("192.0.2.3")
    (family,) = text_string_to_metric_families(text(series))
    (sample,) = family.samples
    assert (family.type, sample.labels, sample.value) == ("unknown", {"ip": "192.0.2.1"}, 5)


def test_other_readers_of_the_registry_see_the_samples() -> None:
    registry = CollectorRegistry()
    series = Series("x", "Some words", ("ip",), "gauge")
    registry.register(series)
    series.set(7, "192.0.2.1")
    assert registry.get_sample_value("x", {"ip": "192.0.2.1"}) == 7


def test_wrong_number_of_labels_raises() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Series("x", "Some words", ("ip", "node"), "gauge").set(1, "192.0.2.1")
