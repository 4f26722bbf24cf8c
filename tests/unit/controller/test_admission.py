"""AdmissionReview requests as the API server sends them, and the responses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controller.admission import AdmissionError, read_review
from metallb_py.config.problems import Problem
from metallb_py.kube.configmap import read

GOOD = "address-pools: [{name: a, protocol: layer2, addresses: [192.0.2.0/24]}]"
BAD = "address-pools:\n- name: a\n  protocol: arp\n  addresses: [192.0.2.0/33]\n"


def review(
    text: str | None,
    *,
    name: str = "config",
    namespace: str = "metallb-system",
    operation: str = "CREATE",
    kind: str = "ConfigMap",
    before: str = GOOD,
) -> bytes:
    meta = {"name": name, "namespace": namespace, "uid": "x", "creationTimestamp": None}
    item = {"kind": kind, "apiVersion": "v1", "metadata": meta}
    if text is not None:
        item["data"] = {"config": text}
    request = {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": "", "version": "v1", "kind": kind},
        "resource": {"group": "", "version": "v1", "resource": "configmaps"},
        "name": name,
        "namespace": namespace,
        "operation": operation,
        "userInfo": {"username": "admin"},
        "object": None if operation == "DELETE" else item,
        "oldObject": {**item, "data": {"config": before}} if operation != "CREATE" else None,
        "dryRun": False,
    }
    envelope = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}
    return json.dumps(envelope).encode()


def answer(body: bytes) -> dict[str, Any]:
    review = read_review(body, "metallb-system", "config")
    assert not isinstance(review.text, Problem)
    parsed = None if review.text is None else read(review.text)
    reply = json.loads(review.answer(parsed))
    assert reply["kind"] == "AdmissionReview"
    assert reply["apiVersion"] == "admission.k8s.io/v1"
    response: dict[str, Any] = reply["response"]
    assert response["uid"] == "705ab4f5-6393-11e8-b7cc-42010a800002"
    return response


@pytest.mark.parametrize("operation", ["CREATE", "UPDATE"])
def test_an_invalid_configuration_is_denied_with_one_problem_per_line(operation: str) -> None:
    response = answer(review(BAD, operation=operation))
    assert response["allowed"] is False
    first, second = response["status"]["message"].splitlines()
    assert 'unknown protocol "arp"' in first
    assert "line 3" in first
    assert "want a prefix length up to 32" in second


@pytest.mark.parametrize(
    "body",
    [
        review(GOOD),
        review(None),
        review(BAD, name="other"),
        review(BAD, namespace="default"),
        review(BAD, operation="DELETE"),
        review(BAD, kind="Secret"),
    ],
)
def test_other_objects_and_operations_are_allowed(body: bytes) -> None:
    assert answer(body)["allowed"] is True


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        review(GOOD).replace(b"k8s.io/v1", b"k8s.io/v1beta1"),
        b'{"request":' * 100_000,
    ],
)
def test_a_body_that_is_no_admission_review_is_an_error(body: bytes) -> None:
    with pytest.raises(AdmissionError, match="AdmissionReview"):
        read_review(body, "metallb-system", "config")


def test_an_update_that_keeps_the_problems_of_the_old_text_is_allowed() -> None:
    assert answer(review(BAD, operation="UPDATE", before=BAD))["allowed"] is True
    worse = answer(review(BAD + "peers: x\n", operation="UPDATE", before=BAD))
    assert worse["allowed"] is False


def test_the_admission_response_contains_no_password() -> None:
    text = "peers: [{my-asn: x, password: hunter2}]"
    assert "hunter2" not in str(answer(review(text)))


def test_a_configuration_under_another_key_is_a_problem() -> None:
    body = json.loads(review(None))
    body["request"]["object"]["data"] = {"config.yaml": GOOD}
    problem = read_review(json.dumps(body).encode(), "metallb-system", "config").text
    assert isinstance(problem, Problem)
    assert 'want the key "config"' in problem.message
