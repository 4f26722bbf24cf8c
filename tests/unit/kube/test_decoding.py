"""Objects written to do harm, decoded one by one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from metallb_py.errors import UndecodableError
from metallb_py.kube.decoding import Damaged, ObjectDecoder, decode, decode_leniently, is_name
from metallb_py.kube.objects import ConfigMap, Lease, Node, Service, Status

DEEP = "[" * 5000 + "]" * 5000
META = {"name": "web", "namespace": "shop", "uid": "u1", "resourceVersion": "7"}
STATUS = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}


def service(raw: bytes | None = None, **fields: Any) -> Service | Damaged[Service]:
    item = {"metadata": META, "spec": {"type": "LoadBalancer"}, "status": STATUS, **fields}
    text = json.dumps(item).replace('"DEEP"', DEEP).replace('"MANY DIGITS"', "9" * 5000).encode()
    return ObjectDecoder(Service).decode(raw if raw is not None else text)


@pytest.mark.parametrize(
    "fields",
    [
        {"metadata": {**META, "managedFields": "DEEP"}},
        {"metadata": {**META, "managedFields": [{"fieldsV1": {"f:spec": "DEEP"}}]}},
        {"unknown": "DEEP"},
        {"metadata": {**META, "x": "\ud800", "y": "DEEP"}},
        {"metadata": {**META, "generation": "MANY DIGITS", "y": "DEEP"}},
    ],
    ids=["managedFields", "fieldsV1", "unknown", "surrogate", "digits"],
)
def test_damage_in_unused_fields_has_no_effect(fields: dict[str, Any]) -> None:
    found = service(**fields)
    assert isinstance(found, Service)
    assert found.key == "shop/web"
    assert found.is_load_balancer
    assert not found.unread
    assert [entry.ip for entry in found.ingress] == ["192.0.2.1"]


def test_null_field_is_absent() -> None:
    found = service(spec=None, status={"loadBalancer": None})
    assert isinstance(found, Service)
    assert (found.spec.type, found.ingress) == ("ClusterIP", ())


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"spec": {"type": 7}}, "spec.type: Expected `str`, got `int`"),
        ({"spec": {"type": "DEEP"}}, "spec.type: Expected `str`, got `array`"),
        ({"spec": []}, "spec: Expected `object`, got `array`"),
        ({"spec": {"ports": [{"port": "x"}]}}, "spec.ports[0].port: Expected `int`, got `str`"),
        ({"spec": {"ports": [{"port": 10**400}]}}, "spec.ports[0].port: "),
        ({"spec": {"ports": [{"port": 1e999}]}}, "spec.ports[0].port: "),
        ({"spec": {"selector": {"a": 1}}}, "spec.selector['a']: Expected `str`, got `int`"),
        ({"metadata": {**META, "labels": 1}}, "metadata.labels: "),
        ({"metadata": {**META, "annotations": {"DEEP": "DEEP"}}}, "metadata.annotations["),
        ({"metadata": {**META, "deletionTimestamp": 1}}, "metadata.deletionTimestamp: "),
    ],
)
def test_decodable_fields_are_kept_and_the_damaged_one_is_named(
    fields: dict[str, Any], error: str
) -> None:
    text = json.dumps({"metadata": META, "status": STATUS, **fields})
    text = text.replace(': "DEEP"', f": {DEEP}").replace("Infinity", "1e999")
    found = service(text.encode())
    assert isinstance(found, Damaged)
    assert (found.key, found.meta and found.meta.uid) == ("shop/web", "u1")
    assert found.error.startswith(error)
    assert found.item is not None
    assert found.item.unread
    assert [entry.ip for entry in found.item.ingress] == ["192.0.2.1"]


def test_damaged_list_entry_does_not_drop_the_others() -> None:
    ports = [{"port": 1}, {"port": "x"}, 5, {"protocol": "UDP"}, {"port": 2}]
    found = service(spec={"ports": ports, "selector": {"a": 1, "b": "c"}})
    assert isinstance(found, Damaged)
    assert found.item is not None
    assert [port.port for port in found.item.spec.ports or ()] == [1, 2]
    assert found.item.spec.selector == {"b": "c"}


def test_few_of_many_decoding_problems_are_named() -> None:
    found = service(spec={"ports": [{"port": "x"}] * 1000})
    assert isinstance(found, Damaged)
    assert found.error.endswith("; and 995 more")
    assert len(found.error) < 1000


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"7",
        b"[]",
        b"{}",
        b"nonsense",
        b'{"metadata": {}}',
        b'{"metadata": {"name": 5}}',
        b'{"metadata": {"name": ""}}',
        b'{"metadata": {"name": "a/b"}}',
        b'{"metadata": {"name": "..", "namespace": "x"}}',
        b'{"metadata": {"name": "a", "namespace": ["b"]}}',
        b'{"metadata": {"name": "a", "namespace": "b?watch=1"}}',
        b'{"metadata": {"name": "\\ud800"}}',
        b'{"metadata": {"name": "a\\u0000"}}',
        f'{{"metadata": {DEEP}}}'.encode(),
    ],
    ids=range(15),
)
def test_object_without_a_valid_name_is_not_decoded(raw: bytes) -> None:
    found = service(raw)
    assert isinstance(found, Damaged)
    assert (found.key, found.meta, found.item) == ("", None, None)
    assert found.error


@pytest.mark.parametrize("name", ["a", "web-1.example", "x" * 253, "A_b:c@d"])
def test_valid_object_names(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a%2f", "a b", "ä", "a\n", "x" * 254, "#"])
def test_invalid_object_names(name: str) -> None:
    assert not is_name(name)


def test_configmap_key_is_kept_beside_a_damaged_one() -> None:
    raw = b'{"metadata": {"name": "c"}, "data": {"other": 5, "config": "x"}}'
    found = ObjectDecoder(ConfigMap).decode(raw)
    assert isinstance(found, Damaged)
    assert found.item is not None
    assert found.item.data == {"config": "x"}


def test_a_condition_without_its_type_is_left_out() -> None:
    conditions = b'[{"status": "True"}, {"type": "R"}]'
    raw = b'{"metadata": {"name": "n"}, "status": {"conditions": %s}}' % conditions
    found = ObjectDecoder(Node).decode(raw)
    assert isinstance(found, Damaged)
    assert found.item is not None
    assert [each.type for each in found.item.status.conditions or ()] == ["R"]


@pytest.mark.parametrize("seconds", ["99999999999", "-99999999999", "1" * 5000, "1e999", "1.5"])
def test_numbers_outside_the_apis_integer_type_are_rejected(seconds: str) -> None:
    raw = f'{{"metadata": {{"name": "l"}}, "spec": {{"leaseDurationSeconds": {seconds}}}}}'
    with pytest.raises(UndecodableError, match="unexpected answer of the API server: want Lease: "):
        decode(raw.encode(), Lease)


def test_response_is_decoded_whole_or_raises() -> None:
    raw = json.dumps({"metadata": {**META, "managedFields": "DEEP"}}).replace('"DEEP"', DEEP)
    assert decode(raw.encode(), Service).key == "shop/web"
    for bad in (b"", b"nonsense", b"{}", b"\xff", DEEP.encode(), b'{"metadata": {"name": 1}}'):
        with pytest.raises(UndecodableError):
            decode(bad, Service)


def test_decodable_fields_of_a_status_are_kept() -> None:
    raw = b'{"message": "no", "code": 410, "details": {"retryAfterSeconds": "x"}, "reason": []}'
    found = decode_leniently(raw, Status)
    assert (found.message, found.code) == ("no", 410)
    with pytest.raises(UndecodableError):
        decode_leniently(b"[]", Status)
