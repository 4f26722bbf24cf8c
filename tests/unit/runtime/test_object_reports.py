"""Reports of objects that cannot be decoded."""

from __future__ import annotations

import json
from typing import Any

from metallb_py.kube.events import Event
from metallb_py.kube.objects import ObjectMeta
from metallb_py.kube.reflector import InForce, Undecodable
from metallb_py.runtime.log import Level, Logger
from metallb_py.runtime.metrics import ClientMetrics
from metallb_py.runtime.object_reports import ObjectReporter

META = ObjectMeta("web", "shop", "u1", "7")
ODD = Undecodable("Service", "shop/web", META, "spec: found", InForce.LAST_GOOD)


class Reports:
    def __init__(self) -> None:
        self.events: list[Event] = []
        self.lines: list[dict[str, Any]] = []
        self.metrics = ClientMetrics()
        log = Logger(Level.INFO, lambda line: self.lines.append(json.loads(line)))
        self.reporter = ObjectReporter(log, self.metrics, self.events.append, ("Service",))


def test_undecodable_object_has_a_log_line_an_event_and_a_metric() -> None:
    reports = Reports()
    reports.reporter.undecodable(ODD)
    (line,) = reports.lines
    (event,) = reports.events
    message = "Service can't be decoded: spec: found; its last good version stays in force"
    assert (line["msg"], line["object"], line["event"]) == (message, "shop/web", "undecodable")
    assert (event.message, event.about.name, event.about.uid) == (message, "web", "u1")
    page = reports.metrics.render()[0].decode()
    assert 'metallb_k8s_client_undecodable_total{kind="Service"} 1.0' in page


def test_event_only_for_a_known_object_of_the_kinds_reported_here() -> None:
    reports = Reports()
    reports.reporter.undecodable(Undecodable("Service", "", None, "x", InForce.NOTHING))
    reports.reporter.undecodable(Undecodable("Node", "n", META, "x", InForce.REST))
    assert len(reports.lines) == 2
    assert not reports.events


def test_undecodable_objects_are_all_counted_and_logged_at_a_limited_rate() -> None:
    reports = Reports()
    for _ in range(1000):
        reports.reporter.undecodable(ODD)
    assert len(reports.lines) < 10
    assert len(reports.events) < 10
    assert "undecodable_total" in reports.metrics.render()[0].decode()
    for number in range(1000):
        other = Undecodable("Service", f"shop/{number}", META, "x", InForce.REST)
        reports.reporter.undecodable(other)
    assert len(reports.lines) < 50
