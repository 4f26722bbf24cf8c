"""Metrics page of both daemons."""

from __future__ import annotations

from support.net.metrics_page import samples

from metallb_py.runtime.metrics import ClientMetrics


def test_config_is_neither_loaded_nor_stale_at_first() -> None:
    found = samples(ClientMetrics())
    assert found["metallb_k8s_client_config_loaded_bool", ()] == 0
    assert found["metallb_k8s_client_config_stale_bool", ()] == 0
    assert ("metallb_k8s_client_updates_created", ()) not in found
