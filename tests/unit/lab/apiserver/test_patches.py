"""Patches: RFC 7386's and RFC 6902's own examples, and Kubernetes' strategic merge."""

from __future__ import annotations

import pytest

from metallb_py.lab.apiserver.patches import PatchError, apply_patch
from metallb_py.lab.apiserver.store import Json, Object

MERGE = "application/merge-patch+json"
JSON = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        # RFC 7386, appendix A: those whose result is an object.
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch_of_rfc_7386(target: Object, patch: Json, result: Object) -> None:
    assert apply_patch(MERGE, target, patch) == result


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        # RFC 6902, appendix A.
        (
            {"foo": "bar"},
            {"op": "add", "path": "/baz", "value": "qux"},
            {"baz": "qux", "foo": "bar"},
        ),
        (
            {"foo": ["bar", "baz"]},
            {"op": "add", "path": "/foo/1", "value": "qux"},
            {"foo": ["bar", "qux", "baz"]},
        ),
        ({"baz": "qux", "foo": "bar"}, {"op": "remove", "path": "/baz"}, {"foo": "bar"}),
        ({"foo": ["a", "b", "c"]}, {"op": "remove", "path": "/foo/1"}, {"foo": ["a", "c"]}),
        ({"baz": "qux"}, {"op": "replace", "path": "/baz", "value": "boo"}, {"baz": "boo"}),
        (
            {"foo": ["bar"]},
            {"op": "add", "path": "/foo/-", "value": ["a"]},
            {"foo": ["bar", ["a"]]},
        ),
        ({"baz": "qux"}, {"op": "test", "path": "/baz", "value": "qux"}, {"baz": "qux"}),
        ({"/": 9, "~1": 10}, {"op": "test", "path": "/~01", "value": 10}, {"/": 9, "~1": 10}),
        ({"a": {"b/c": 1}}, {"op": "replace", "path": "/a/b~1c", "value": 2}, {"a": {"b/c": 2}}),
    ],
)
def test_json_patch_of_rfc_6902(target: Object, patch: Object, result: Object) -> None:
    assert apply_patch(JSON, target, [patch]) == result


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        ({"op": "test", "path": "/baz", "value": "bar"}, "test failed"),
        ({"op": "remove", "path": "/none/deep"}, "no such place"),
        ({"op": "remove", "path": "/none"}, "no such place"),
        ({"op": "replace", "path": "/none", "value": 1}, "no such place"),
        ({"op": "replace", "path": "/list/7", "value": 1}, "no such place"),
        ({"op": "remove", "path": "/list/x"}, "no such place"),
        ({"op": "add", "path": "/list/7", "value": 1}, "no such place"),
        ({"op": "move", "path": "/baz", "from": "/list"}, "want add, remove, replace or test"),
    ],
)
def test_json_patch_that_does_not_apply_is_an_error(operation: Object, message: str) -> None:
    with pytest.raises(PatchError, match=message):
        apply_patch(JSON, {"baz": "qux", "list": [1]}, [operation])


def test_patch_does_not_modify_its_target() -> None:
    target: Object = {"a": {"b": [1]}}
    apply_patch(MERGE, target, {"a": {"b": None}})
    apply_patch(JSON, target, [{"op": "remove", "path": "/a/b/0"}])
    apply_patch(STRATEGIC, target, {"a": {"c": 1}})
    assert target == {"a": {"b": [1]}}


def test_strategic_merge_patch_merges_lists_of_objects_by_key() -> None:
    target: Object = {"ports": [{"port": 80, "name": "http"}, {"port": 443, "name": "https"}]}
    patch: Object = {"ports": [{"port": 80, "name": "web"}, {"port": 22}]}
    assert apply_patch(STRATEGIC, target, patch) == {
        "ports": [{"port": 80, "name": "web"}, {"port": 443, "name": "https"}, {"port": 22}]
    }


def test_strategic_merge_patch_directives_delete_and_replace() -> None:
    target: Object = {
        "ports": [{"port": 80}, {"port": 443}],
        "selector": {"a": "1", "b": "2"},
        "finalizers": ["x", "y"],
    }
    patch: Object = {
        "ports": [{"port": 80, "$patch": "delete"}],
        "selector": {"$patch": "replace", "c": "3"},
        "$setElementOrder/ports": [{"port": 443}],
        "finalizers": ["z"],
    }
    assert apply_patch(STRATEGIC, target, patch) == {
        "ports": [{"port": 443}],
        "selector": {"c": "3"},
        "finalizers": ["z"],
    }


def test_invalid_patch_is_rejected() -> None:
    with pytest.raises(PatchError, match="want one of"):
        apply_patch("text/plain", {}, {})
    with pytest.raises(PatchError, match="leaves no object"):
        apply_patch(MERGE, {}, [])
    with pytest.raises(PatchError, match="want a list"):
        apply_patch(JSON, {}, {})
    with pytest.raises(PatchError, match="want operations"):
        apply_patch(JSON, {}, ["x"])


def test_content_type_of_a_patch_may_have_parameters() -> None:
    assert apply_patch(f"{MERGE}; charset=utf-8", {}, {"a": 1}) == {"a": 1}
