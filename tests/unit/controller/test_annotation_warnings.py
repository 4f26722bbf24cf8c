"""Warnings about annotations that resemble MetalLB's: once for each, and rate-limited."""

from __future__ import annotations

from support.kube.objects import service

from controller.annotation_warnings import AnnotationWarnings
from metallb_py.kube.annotation_names import NearMiss

WRONG = {"metallb.universe.tf/allow-shared": "key"}
MISS = NearMiss("metallb.universe.tf/allow-shared", "metallb.universe.tf/allow-shared-ip")


def test_a_near_miss_is_reported_once_for_each_service() -> None:
    warnings = AnnotationWarnings()
    item = service(annotations=WRONG)
    assert warnings.changed("default/web", item, 0.0) == (MISS,)
    assert warnings.changed("default/web", item, 1.0) == ()
    assert warnings.changed("default/other", item, 1.0) == (MISS,)
    both = service(annotations={**WRONG, "metallb.io/address-pools": "x"})
    (new,) = warnings.changed("default/web", both, 2.0)
    assert new.found == "metallb.io/address-pools"


def test_a_near_miss_that_returns_after_a_correction_is_reported_again() -> None:
    warnings = AnnotationWarnings()
    warnings.changed("default/web", service(annotations=WRONG), 0.0)
    assert warnings.changed("default/web", service(), 1.0) == ()
    assert warnings.changed("default/web", service(annotations=WRONG), 2.0) == (MISS,)
    warnings.changed("default/web", None, 3.0)
    assert warnings.changed("default/web", service(annotations=WRONG), 4.0) == (MISS,)


def test_a_service_that_is_no_load_balancer_gets_no_warnings() -> None:
    item = service(annotations=WRONG, kind="ClusterIP")
    assert AnnotationWarnings().changed("default/web", item, 0.0) == ()


def test_annotation_warnings_are_rate_limited_by_namespace() -> None:
    warnings = AnnotationWarnings()
    item = service(annotations=WRONG)
    reported = [warnings.changed(f"tenant/s{n}", item, 0.0) for n in range(1000)]
    assert sum(map(len, reported)) == 10
    assert warnings.changed("default/web", item, 0.0) == (MISS,)
    assert warnings.changed("tenant/s999", item, 60.0) == (MISS,), "at its next change"
