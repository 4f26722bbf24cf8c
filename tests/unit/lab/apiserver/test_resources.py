"""Discovery documents: consistent with each other, and in the form that kubectl reads."""

from __future__ import annotations

import pytest

from metallb_py.lab.apiserver.resources import (
    RESOURCES,
    Resource,
    api_versions,
    group_list,
    openapi,
    openapi_index,
    resource_list,
)


def entries(resource: Resource) -> dict[str, dict[str, object]]:
    found = resource_list(resource.group, resource.version)
    assert found is not None
    assert found["groupVersion"] == resource.api_version
    members = found["resources"]
    assert isinstance(members, list)
    return {str(entry["name"]): entry for entry in members}


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda r: r.plural)
def test_every_resource_is_discovered(resource: Resource) -> None:
    entry = entries(resource)[resource.plural]
    assert (entry["kind"], entry["namespaced"]) == (resource.kind, resource.namespaced)
    assert {"create", "delete", "get", "list", "patch", "update", "watch"} == set(entry["verbs"])
    assert (f"{resource.plural}/status" in entries(resource)) is resource.status


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda r: r.plural)
def test_every_resource_has_a_schema_with_field_validation(resource: Resource) -> None:
    prefix = resource.prefix.removeprefix("/")
    assert prefix in openapi_index()["paths"]
    paths = openapi(prefix)["paths"]
    assert isinstance(paths, dict)
    scope = "/namespaces/{namespace}" if resource.namespaced else ""
    operation = paths[f"{resource.prefix}{scope}/{resource.plural}/{{name}}"]["patch"]
    assert operation["x-kubernetes-group-version-kind"]["kind"] == resource.kind
    assert operation["parameters"][0]["name"] == "fieldValidation"


def test_api_groups_and_versions() -> None:
    assert api_versions() == {"kind": "APIVersions", "versions": ["v1"]}
    groups = group_list()["groups"]
    assert isinstance(groups, list)
    assert {g["preferredVersion"]["groupVersion"] for g in groups} == {
        "apps/v1",
        "coordination.k8s.io/v1",
        "discovery.k8s.io/v1",
    }


def test_unknown_api_group_has_no_resources() -> None:
    assert resource_list("batch", "v1") is None
    assert openapi("apis/batch/v1")["paths"] == {}
