"""The API server's question, as it is asked over the wire, and the answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controller.admission import AdmissionError, read_review
from metallb_py.config.problems import Problem
from metallb_py.kube.configmap import read

GOOD = "address-pools: [{name: a, protocol: layer2, addresses: [192.0.2.0/24]}]"
BAD = "address-pools:\n- name: a\n  protocol: arp\n  addresses: [192.0.2.0/33]\n"


def question(
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
    question = read_review(body, "metallb-system", "config")
    assert not isinstance(question.text, Problem)
    reading = None if question.text is None else read(question.text)
    said = json.loads(question.answer(reading))
    assert said["kind"] == "AdmissionReview"
    assert said["apiVersion"] == "admission.k8s.io/v1"
    response: dict[str, Any] = said["response"]
    assert response["uid"] == "705ab4f5-6393-11e8-b7cc-42010a800002"
    return response


@pytest.mark.parametrize("operation", ["CREATE", "UPDATE"])
def test_a_bad_configuration_is_refused_with_every_problem_on_a_line(operation: str) -> None:
    response = answer(question(BAD, operation=operation))
    assert response["allowed"] is False
    first, second = response["status"]["message"].splitlines()
    assert 'unknown protocol "arp"' in first
    assert "line 3" in first
    assert "want a prefix length up to 32" in second


@pytest.mark.parametrize(
    "body",
    [
        question(GOOD),
        question(None),
        question(BAD, name="other"),
        question(BAD, namespace="default"),
        question(BAD, operation="DELETE"),
        question(BAD, kind="Secret"),
    ],
)
def test_everything_else_is_allowed(body: bytes) -> None:
    assert answer(body)["allowed"] is True


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        question(GOOD).replace(b"k8s.io/v1", b"k8s.io/v1beta1"),
        b'{"request":' * 100_000,
    ],
)
def test_what_is_no_review_is_an_error(body: bytes) -> None:
    with pytest.raises(AdmissionError, match="AdmissionReview"):
        read_review(body, "metallb-system", "config")


def test_a_bad_text_that_is_there_already_stands_in_nobodys_way() -> None:
    assert answer(question(BAD, operation="UPDATE", before=BAD))["allowed"] is True
    worse = answer(question(BAD + "peers: x\n", operation="UPDATE", before=BAD))
    assert worse["allowed"] is False


def test_a_password_never_shows() -> None:
    text = "peers: [{my-asn: x, password: hunter2}]"
    assert "hunter2" not in str(answer(question(text)))


def test_a_configuration_under_another_key_is_a_problem() -> None:
    body = json.loads(question(None))
    body["request"]["object"]["data"] = {"config.yaml": GOOD}
    problem = read_review(json.dumps(body).encode(), "metallb-system", "config").text
    assert isinstance(problem, Problem)
    assert 'want the key "config"' in problem.message
