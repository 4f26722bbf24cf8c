"""Annotations that nearly equal MetalLB's."""

from __future__ import annotations

import pytest

from metallb_py.kube.annotation_names import (
    PREFIXES,
    REQUEST_ANNOTATIONS,
    intended_annotation,
    near_misses,
)


@pytest.mark.parametrize(
    ("annotation", "wanted"),
    [
        ("metallb.universe.tf/allow-shared", "metallb.universe.tf/allow-shared-ip"),
        ("metallb.universe.tf/allow-shared-ips", "metallb.universe.tf/allow-shared-ip"),
        ("metallb.universe.tf/load-balancer-ips", "metallb.universe.tf/loadBalancerIPs"),
        ("metallb.universe.tf/loadBalancerIP", "metallb.universe.tf/loadBalancerIPs"),
        ("metallb.io/loadBalancerIps", "metallb.io/loadBalancerIPs"),
        ("metallb.io/loadbalancerips", "metallb.io/loadBalancerIPs"),
        ("metallb.universe.tf/address-pools", "metallb.universe.tf/address-pool"),
        ("metallb.universe.tf/addresspool", "metallb.universe.tf/address-pool"),
        ("metallb.universe.tf/Address-Pool", "metallb.universe.tf/address-pool"),
        ("metallb.io/address_pool", "metallb.io/address-pool"),
        ("metallb/address-pool", "metallb.io/address-pool"),
        ("metallb.universe.tv/address-pool", "metallb.universe.tf/address-pool"),
        ("metallb.universe.com/allow-shared-ip", "metallb.universe.tf/allow-shared-ip"),
        ("metalb.universe.tf/allow-shared-ip", "metallb.universe.tf/allow-shared-ip"),
        ("metallb.org/allow-shared-ip", "metallb.io/allow-shared-ip"),
        ("MetalLB.io/address-pool", "metallb.io/address-pool"),
        ("address-pool", "metallb.universe.tf/address-pool"),
        ("loadBalancerIPs", "metallb.universe.tf/loadBalancerIPs"),
    ],
)
def test_near_miss_names_the_intended_annotation(annotation: str, wanted: str) -> None:
    assert intended_annotation(annotation) == wanted
    (miss,) = near_misses({annotation, "app"})
    assert str(miss) == f'annotation "{annotation}" has no effect: want "{wanted}"'


@pytest.mark.parametrize(
    "annotation",
    [
        *(f"{prefix}/{name}" for prefix in PREFIXES for name in REQUEST_ANNOTATIONS),
        "metallb.universe.tf/ip-allocated-from-pool",
        "metallb.io/ip-allocated-from-pool",
        "metallb.io/service-name",
        "metallb.universe.tf/something-else",
        "kube-vip.io/loadbalancerIPs",
        "lbipam.cilium.io/ips",
        "lbipam.cilium.io/sharing-key",
        "io.cilium/lb-ipam-ips",
        "purelb.io/service-group",
        "purelb.io/addresses",
        "purelb.io/allow-local",
        "lb.kubesphere.io/v1alpha1",
        "eip.openelb.kubesphere.io/v1alpha2",
        "service.beta.kubernetes.io/aws-load-balancer-type",
        "service.kubernetes.io/topology-mode",
        "external-dns.alpha.kubernetes.io/hostname",
        "kubectl.kubernetes.io/last-applied-configuration",
        "meta.helm.sh/release-name",
        "prometheus.io/scrape",
        "projectcalico.org/loadBalancerIPs",
        "address",
        "pool",
        "",
        "/",
        "x" * 100_000,
        "metallb.universe.tf/" + "x" * 100_000,
    ],
)
def test_correct_and_foreign_annotations_are_not_near_misses(annotation: str) -> None:
    assert intended_annotation(annotation) == ""
