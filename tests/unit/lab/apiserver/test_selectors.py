"""Selectors as they stand in a query, each against what kubectl's documentation says of it."""

from __future__ import annotations

import pytest

from metallb_py.errors import ApiError
from metallb_py.lab.apiserver.selectors import selection
from metallb_py.lab.apiserver.store import Object

POD: Object = {
    "metadata": {"name": "web-1", "labels": {"app": "web", "tier": "front"}},
    "spec": {"nodeName": "node1"},
}


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ("", True),
        ("app=web", True),
        ("app==web", True),
        ("app = web", True),
        ("app=db", False),
        ("app!=db", True),
        ("app!=web", False),
        ("zone!=a", True),
        ("app", True),
        ("zone", False),
        ("!zone", True),
        ("!app", False),
        ("app in (web,db)", True),
        ("app in (db, web),tier=front", True),
        ("app notin (web)", False),
        ("zone notin (a,b)", True),
        ("app=web,tier=back", False),
        ("app=web, tier=front", True),
    ],
)
def test_labels(selector: str, selected: bool) -> None:
    assert selection({"labelSelector": selector})(POD) is selected


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ("metadata.name=web-1", True),
        ("metadata.name=web-2", False),
        ("metadata.name!=web-2", True),
        ("spec.nodeName=node1,metadata.name=web-1", True),
        ("spec.nodeName=node2,metadata.name=web-1", False),
        ("status.podIP=", True),
    ],
)
def test_fields(selector: str, selected: bool) -> None:
    assert selection({"fieldSelector": selector})(POD) is selected


def test_an_object_without_labels_has_none() -> None:
    assert selection({"labelSelector": "!app"})({"metadata": {"name": "a"}})
    assert not selection({"labelSelector": "app"})({"metadata": {"name": "a"}})


def test_a_field_selector_compares() -> None:
    with pytest.raises(ApiError, match=r'"metadata\.name": want KEY=VALUE'):
        selection({"fieldSelector": "metadata.name"})
