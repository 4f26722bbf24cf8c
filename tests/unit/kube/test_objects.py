"""Views of objects, decoded from JSON as API servers send it."""

from __future__ import annotations

import msgspec
import pytest

from metallb_py.kube.objects import ObjectList, Pod, Service, WatchEvent

SERVICE = b"""{
  "apiVersion": "v1", "kind": "Service",
  "metadata": {"name": "web", "namespace": "shop", "uid": "u", "resourceVersion": "7",
               "annotations": {"a": "b"}, "managedFields": [{"manager": "kubectl"}]},
  "spec": {"type": "LoadBalancer", "clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1"],
           "ports": [{"port": 80, "nodePort": 30080, "targetPort": "http"}],
           "loadBalancerIP": "192.0.2.1", "loadBalancerClass": "x", "somethingNew": {"x": 1}},
  "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1", "ipMode": "VIP"}]}}
}"""


def test_service_with_unused_fields_is_decoded() -> None:
    service = msgspec.json.decode(SERVICE, type=Service)
    assert service.key == "shop/web"
    assert service.cluster_ips == ("10.96.0.1",)
    assert service.spec.load_balancer_ip == "192.0.2.1"
    assert service.spec.load_balancer_class == "x"
    assert [(port.protocol, port.port) for port in service.spec.ports or ()] == [("TCP", 80)]
    assert [entry.ip for entry in service.ingress] == ["192.0.2.1"]
    assert service.metadata.annotation("a") == "b"
    assert service.metadata.annotation("none") == ""


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (b'{"clusterIP":"10.96.0.1"}', ("10.96.0.1",)),
        (b'{"clusterIP":"None","clusterIPs":["None"]}', ()),
        (b'{"type":"ExternalName"}', ()),
    ],
)
def test_cluster_addresses_of_old_servers_and_headless_services(
    spec: bytes, expected: tuple[str, ...]
) -> None:
    text = b'{"metadata":{"name":"x"},"spec":' + spec + b"}"
    assert msgspec.json.decode(text, type=Service).cluster_ips == expected


def test_list_page_and_watch_event_are_decoded() -> None:
    page = msgspec.json.decode(
        b'{"metadata":{"resourceVersion":"9","continue":"c"},"items":[' + SERVICE + b"]}",
        type=ObjectList,
    )
    assert page.metadata.resource_version == "9"
    assert page.metadata.continue_token == "c"
    event = msgspec.json.decode(b'{"type":"ADDED","object":' + SERVICE + b"}", type=WatchEvent)
    assert msgspec.json.decode(event.object, type=Service).key == "shop/web"


@pytest.mark.parametrize(
    ("status", "ready"), [("True", True), ("False", False), ("Unknown", False)]
)
def test_a_pod_is_ready_by_its_condition(status: str, ready: bool) -> None:
    text = f"""{{"metadata":{{"name":"p"}},"spec":{{"nodeName":"n1"}},
      "status":{{"conditions":[{{"type":"Ready","status":"{status}"}}]}}}}"""
    pod = msgspec.json.decode(text, type=Pod)
    assert pod.ready is ready
    assert pod.spec.node_name == "n1"
