"""Warnings of annotations that nearly are MetalLB's: once, and not too many."""

from __future__ import annotations

from support.objects import service

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


def test_one_that_was_corrected_and_comes_back_is_reported_again() -> None:
    warnings = AnnotationWarnings()
    warnings.changed("default/web", service(annotations=WRONG), 0.0)
    assert warnings.changed("default/web", service(), 1.0) == ()
    assert warnings.changed("default/web", service(annotations=WRONG), 2.0) == (MISS,)
    warnings.changed("default/web", None, 3.0)
    assert warnings.changed("default/web", service(annotations=WRONG), 4.0) == (MISS,)


def test_a_service_that_is_no_load_balancer_has_no_use_for_them_anyway() -> None:
    item = service(annotations=WRONG, kind="ClusterIP")
    assert AnnotationWarnings().changed("default/web", item, 0.0) == ()


def test_a_tenant_that_writes_many_is_slowed_down_and_no_other() -> None:
    warnings = AnnotationWarnings()
    item = service(annotations=WRONG)
    told = [warnings.changed(f"tenant/s{n}", item, 0.0) for n in range(1000)]
    assert sum(map(len, told)) == 10
    assert warnings.changed("default/web", item, 0.0) == (MISS,)
    assert warnings.changed("tenant/s999", item, 60.0) == (MISS,), "at its next change"
