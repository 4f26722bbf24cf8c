"""Label and field selectors of a query, each against kubectl's documentation."""

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
def test_label_selector_operators(selector: str, selected: bool) -> None:
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
def test_field_selector_operators(selector: str, selected: bool) -> None:
    assert selection({"fieldSelector": selector})(POD) is selected


def test_label_selector_on_an_object_without_labels() -> None:
    assert selection({"labelSelector": "!app"})({"metadata": {"name": "a"}})
    assert not selection({"labelSelector": "app"})({"metadata": {"name": "a"}})


def test_field_selector_without_an_operator_is_rejected() -> None:
    with pytest.raises(ApiError, match=r'"metadata\.name": want KEY=VALUE'):
        selection({"fieldSelector": "metadata.name"})
