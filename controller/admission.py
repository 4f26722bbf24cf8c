"""Codec for the reviews in which the API server asks whether a ConfigMap may be stored.

AdmissionReview of admission.k8s.io/v1: bytes in, bytes out.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from metallb_py.config.problems import Problem
from metallb_py.errors import RemoteProtocolError
from metallb_py.kube.configmap import ParsedConfig, text_of
from metallb_py.kube.objects import ConfigMap
from metallb_py.printable import printable

API_VERSION = "admission.k8s.io/v1"
UNPROCESSABLE = 422


class AdmissionError(RemoteProtocolError):
    """The review can't be answered: it is malformed, or its check took too long.

    No state was changed.
    """


class _Kind(msgspec.Struct, frozen=True):
    kind: str


class _Request(msgspec.Struct, frozen=True, rename="camel"):
    """The fields of an AdmissionRequest that decide the answer."""

    uid: str
    """Identifies the review; the response must repeat it."""
    kind: _Kind
    operation: str
    """CREATE, UPDATE, DELETE or CONNECT."""
    name: str = ""
    namespace: str = ""
    object: msgspec.Raw = msgspec.Raw(b"null")
    """The object to be stored; null for DELETE."""
    old_object: msgspec.Raw = msgspec.Raw(b"null")
    """The stored object; null for CREATE."""


class _Review(msgspec.Struct, frozen=True, rename="camel"):
    api_version: str
    kind: str
    request: _Request


@dataclass(frozen=True, slots=True)
class AdmissionRequest:
    """A decoded review."""

    uid: str
    text: str | Problem | None
    """The configuration text to be stored, or why the ConfigMap has none. None where the review is
    not of the operator's ConfigMap, or does not change its text."""

    def answer(self, parsed: ParsedConfig | None = None, warnings: tuple[str, ...] = ()) -> bytes:
        """Return the encoded response. A text with problems is refused, and all are listed.

        ``parsed`` is the compiled text; None where there is no text to check.
        """
        problems = [str(problem) for problem in parsed.problems] if parsed else []
        response: dict[str, object] = {"uid": self.uid, "allowed": not problems}
        if problems:
            message = "\n".join(map(printable, problems))
            response["status"] = {"code": UNPROCESSABLE, "message": message}
        if warnings:
            response["warnings"] = [printable(warning) for warning in warnings]
        return msgspec.json.encode(
            {"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response}
        )


def read_review(body: bytes, namespace: str, name: str) -> AdmissionRequest:
    """Decode a review. Only a new text of the ConfigMap of this name has to be checked.

    Every other object is allowed, and so is a change that leaves an invalid text as it is, such as
    the controller's own annotations, which list the text's problems. Raises AdmissionError where
    the body is not a review.
    """
    try:
        review = msgspec.json.decode(body, type=_Review)
        text = _new_text(review.request, namespace, name)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise AdmissionError(f"AdmissionReview: {error}") from error
    if review.kind != "AdmissionReview" or review.api_version != API_VERSION:
        raise AdmissionError(f"{review.api_version} {review.kind}: want {API_VERSION}")
    return AdmissionRequest(review.request.uid, text)


def _new_text(request: _Request, namespace: str, name: str) -> str | Problem | None:
    target = (request.kind.kind, request.namespace, request.name)
    if target != ("ConfigMap", namespace, name) or request.operation not in ("CREATE", "UPDATE"):
        return None
    item = _configmap(request.object)
    if request.operation == "UPDATE" and text_of(item) == text_of(_configmap(request.old_object)):
        return None
    return text_of(item)


def _configmap(item: msgspec.Raw) -> ConfigMap:
    return msgspec.json.decode(item, type=ConfigMap)
