"""Services that a pool is for (tenancy)."""

from __future__ import annotations

import pytest
from support.kube.config_text import problems
from support.kube.objects import selector

from metallb_py.config.compile.read_config import read_config
from metallb_py.model.pool_access import UNRESTRICTED, ServiceIdentity, Tenancy

WEB = ServiceIdentity("web", {"team": "shop"}, {"tier": "front"})
OTHER = ServiceIdentity("other", {"team": "else"}, {"tier": "back"})
UNKNOWN_LABELS = ServiceIdentity("web", None, {"tier": "front"})


@pytest.mark.parametrize(
    "tenancy",
    [
        UNRESTRICTED,
        Tenancy(namespaces=frozenset({"web", "more"})),
        Tenancy(namespace_selectors=(selector(team="x"), selector(team="shop"))),
        Tenancy(frozenset({"more"}), (selector(team="shop"),)),
        Tenancy(service_selectors=(selector(tier="back"), selector(tier="front"))),
        Tenancy(frozenset({"web"}), service_selectors=(selector(tier="front"),)),
    ],
)
def test_tenancy_admits_the_service(tenancy: Tenancy) -> None:
    assert tenancy.refusal(WEB) == ""


@pytest.mark.parametrize(
    ("tenancy", "reason"),
    [
        (Tenancy(frozenset({"web"})), 'not for namespace "other"'),
        (Tenancy(namespace_selectors=(selector(team="shop"),)), 'not for namespace "other"'),
        (
            Tenancy(service_selectors=(selector(tier="front"),)),
            "its service-selectors do not match the service's labels",
        ),
        (
            Tenancy(frozenset({"other"}), service_selectors=(selector(tier="front"),)),
            "its service-selectors do not match the service's labels",
        ),
    ],
)
def test_tenancy_refuses_the_service_with_a_reason(tenancy: Tenancy, reason: str) -> None:
    assert tenancy.refusal(OTHER) == reason


def test_only_namespace_selectors_need_the_namespaces_labels() -> None:
    by_label = (selector(team="shop"),)
    assert Tenancy(namespace_selectors=by_label).is_undecided(UNKNOWN_LABELS)
    assert not Tenancy(namespace_selectors=by_label).is_undecided(WEB)
    assert not Tenancy(frozenset({"web"}), by_label).is_undecided(UNKNOWN_LABELS)
    assert not Tenancy(frozenset({"more"})).is_undecided(UNKNOWN_LABELS)


def test_tenancy_and_priority_are_read_from_the_configuration() -> None:
    text = """\
address-pools:
- name: a
  protocol: layer2
  addresses: [192.0.2.0/24]
  priority: 10
  namespaces: [web, more]
  namespace-selectors:
  - match-labels: {team: shop}
  service-selectors:
  - match-labels: {tier: front}
"""
    (pool,) = read_config(text).pools
    assert pool.priority == 10
    assert pool.tenancy == Tenancy(
        frozenset({"web", "more"}), (selector(team="shop"),), (selector(tier="front"),)
    )


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ("namespaces: [Web]", 'invalid namespace "Web": want a name, as in "default"'),
        ("namespaces: web", "into []string"),
        ("priority: -1", "cannot unmarshal !!int `-1` into uint32"),
        (
            "service-selectors: [{match-labels: {'a b': c}}]",
            'parsing service selector: key: "a b": want a label key',
        ),
        (
            "namespace-selectors: [{match-expressions: [{key: a, operator: Like}]}]",
            'parsing namespace selector: "Like" is not a valid pod selector operator',
        ),
    ],
)
def test_invalid_tenancy_is_reported_with_its_line(keys: str, reason: str) -> None:
    text = f"address-pools:\n- {{name: a, protocol: layer2, addresses: [192.0.2.0/24],\n  {keys}}}"
    ((line, _, message),) = problems(text)
    assert reason in message
    assert line == 3
