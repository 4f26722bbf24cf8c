"""Whether a ConfigMap may be stored: the API server's question, before it stores one.

admission.k8s.io/v1, AdmissionReview: bytes in, bytes out.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from metallb_py.config.problems import Problem
from metallb_py.errors import RemoteProtocolError
from metallb_py.kube.configmap import Reading, text_of
from metallb_py.kube.objects import ConfigMap
from metallb_py.printable import printable

API_VERSION = "admission.k8s.io/v1"
UNPROCESSABLE = 422


class AdmissionError(RemoteProtocolError):
    """What came is no AdmissionReview that can be answered."""


class _Kind(msgspec.Struct, frozen=True):
    kind: str


class _Request(msgspec.Struct, frozen=True, rename="camel"):
    uid: str
    kind: _Kind
    operation: str
    name: str = ""
    namespace: str = ""
    object: msgspec.Raw = msgspec.Raw(b"null")
    old_object: msgspec.Raw = msgspec.Raw(b"null")


class _Review(msgspec.Struct, frozen=True, rename="camel"):
    api_version: str
    kind: str
    request: _Request


@dataclass(frozen=True, slots=True)
class Question:
    """A review that was decoded. ``text`` is the one to be stored, if it is ours and new."""

    uid: str
    text: str | Problem | None

    def answer(self, reading: Reading | None = None, warnings: tuple[str, ...] = ()) -> bytes:
        """Return the answer: a text with problems is refused with every one of them.

        ``reading`` is the text's, and None where there is no text to judge.
        """
        problems = [str(problem) for problem in reading.problems] if reading else []
        response: dict[str, object] = {"uid": self.uid, "allowed": not problems}
        if problems:
            message = "\n".join(map(printable, problems))
            response["status"] = {"code": UNPROCESSABLE, "message": message}
        if warnings:
            response["warnings"] = [printable(warning) for warning in warnings]
        return msgspec.json.encode(
            {"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response}
        )


def read_review(body: bytes, namespace: str, name: str) -> Question:
    """Read a review of the ConfigMap of this name, or of anything else, which is let through.

    So is a change that leaves a bad text as it is: the controller's own annotations say what is
    wrong with it. Raises AdmissionError where the body is no review.
    """
    try:
        asked = msgspec.json.decode(body, type=_Review)
        text = _new_text(asked.request, namespace, name)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise AdmissionError(f"AdmissionReview: {error}") from error
    if asked.kind != "AdmissionReview" or asked.api_version != API_VERSION:
        raise AdmissionError(f"{asked.api_version} {asked.kind}: want {API_VERSION}")
    return Question(asked.request.uid, text)


def _new_text(request: _Request, namespace: str, name: str) -> str | Problem | None:
    asked = (request.kind.kind, request.namespace, request.name)
    if asked != ("ConfigMap", namespace, name) or request.operation not in ("CREATE", "UPDATE"):
        return None
    item = _configmap(request.object)
    if request.operation == "UPDATE" and text_of(item) == text_of(_configmap(request.old_object)):
        return None
    return text_of(item)


def _configmap(item: msgspec.Raw) -> ConfigMap:
    return msgspec.json.decode(item, type=ConfigMap)
