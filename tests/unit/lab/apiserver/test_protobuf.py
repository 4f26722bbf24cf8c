"""Recorded request bodies of kubectl 1.37, each with the command that sent it."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallb_py.errors import ApiError
from metallb_py.lab.apiserver.protobuf import MAGIC, decode
from metallb_py.lab.apiserver.store import Object

NAMESPACE = (
    "6b3873000a0f0a02763112094e616d657370616365121c0a140a0473686f7012001a0022002a00320038004200"
    "12001a020a001a002200"
)
LOAD_BALANCER = (
    "6b3873000a0d0a027631120753657276696365126c0a1f0a0377656212001a0022002a003200380042005a0a0a"
    "03617070120377656212450a1b0a0738302d38303830120354435018502207080010903f1a002800120a0a0361"
    "707012037765621a00220c4c6f616442616c616e6365723a00420052005a00600068001a020a001a002200"
)
NODE_PORT = (
    "6b3873000a0d0a027631120753657276696365126b0a1b0a016e12001a0022002a003200380042005a080a0361"
    "707012016e12480a240a093434332d6874747073120354435018bb03220b080110001a05687474707328ebed01"
    "12080a0361707012016e1a0022084e6f6465506f72743a00420052005a00600068001a020a001a002200"
)
CONFIG_MAP = (
    "6b3873000a0f0a0276311209436f6e6669674d617012230a110a016312001a0022002a00320038004200120"
    "60a016112016212060a01631201641a002200"
)
SECRET = (
    "6b3873000a0c0a0276311206536563726574121d0a110a017312001a0022002a0032003800420012060a016112"
    "01621a001a002200"
)


@pytest.mark.parametrize(
    ("body", "item"),
    [
        pytest.param(
            NAMESPACE,
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}},
            id="create namespace shop",
        ),
        pytest.param(
            LOAD_BALANCER,
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "web", "labels": {"app": "web"}},
                "spec": {
                    "type": "LoadBalancer",
                    "selector": {"app": "web"},
                    "ports": [
                        {"name": "80-8080", "port": 80, "protocol": "TCP", "targetPort": 8080}
                    ],
                },
            },
            id="create service loadbalancer web --tcp=80:8080",
        ),
        pytest.param(
            NODE_PORT,
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "n", "labels": {"app": "n"}},
                "spec": {
                    "type": "NodePort",
                    "selector": {"app": "n"},
                    "ports": [
                        {
                            "name": "443-https",
                            "port": 443,
                            "protocol": "TCP",
                            "targetPort": "https",
                            "nodePort": 30443,
                        }
                    ],
                },
            },
            id="create service nodeport n --tcp=443:https --node-port=30443",
        ),
        pytest.param(
            CONFIG_MAP,
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "c"},
                "data": {"a": "b", "c": "d"},
            },
            id="create configmap c --from-literal=a=b --from-literal=c=d",
        ),
        pytest.param(
            SECRET,
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "s"},
                "data": {"a": "Yg=="},
            },
            id="create secret generic s --from-literal=a=b",
        ),
    ],
)
def test_bodies_sent_by_kubectl_are_decoded(body: str, item: Object) -> None:
    assert decode(bytes.fromhex(body)) == item


def test_other_kinds_and_other_bodies_are_rejected() -> None:
    pod = bytes.fromhex(NAMESPACE).replace(b"Namespace", b"Nomespace")
    with pytest.raises(ApiError, match="Nomespace in protobuf: want application/json") as caught:
        decode(pod)
    assert caught.value.status == 415
    with pytest.raises(ApiError, match="want Kubernetes' protobuf"):
        decode(b"{}")


@given(st.binary(max_size=80))
def test_any_bytes_give_an_object_or_the_one_error(body: bytes) -> None:
    with contextlib.suppress(ApiError):
        decode(MAGIC + body)


@given(st.integers(min_value=len(MAGIC), max_value=len(LOAD_BALANCER) // 2), st.binary(max_size=4))
def test_a_damaged_body_gives_an_object_or_the_one_error(at: int, damage: bytes) -> None:
    body = bytes.fromhex(LOAD_BALANCER)
    with contextlib.suppress(ApiError):
        decode(body[:at] + damage + body[at + len(damage) :])
