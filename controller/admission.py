"""Whether a ConfigMap may be stored: the API server's question, before it stores one.

admission.k8s.io/v1, AdmissionReview: bytes in, bytes out.
"""

from __future__ import annotations

import msgspec

from metallb_py.errors import RemoteProtocolError
from metallb_py.kube.configmap import DATA_KEY, read
from metallb_py.kube.objects import ConfigMap

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


def review(body: bytes, namespace: str, name: str) -> bytes:
    """Answer a review: a ConfigMap of this name is refused with every problem that it has.

    Everything else is allowed, also a change that leaves a bad text as it is: the controller's own
    annotations say what is wrong with it. Raises AdmissionError where the body is no review.
    """
    try:
        asked = msgspec.json.decode(body, type=_Review)
        problems = _problems(asked.request, namespace, name)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise AdmissionError(f"AdmissionReview: {error}") from error
    if asked.kind != "AdmissionReview" or asked.api_version != API_VERSION:
        raise AdmissionError(f"{asked.api_version} {asked.kind}: want {API_VERSION}")
    response: dict[str, object] = {"uid": asked.request.uid, "allowed": not problems}
    if problems:
        response["status"] = {"code": UNPROCESSABLE, "message": "\n".join(problems)}
    return msgspec.json.encode(
        {"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response}
    )


def _problems(request: _Request, namespace: str, name: str) -> list[str]:
    concerned = (request.kind.kind, request.namespace, request.name) == (
        "ConfigMap",
        namespace,
        name,
    )
    if not concerned or request.operation not in ("CREATE", "UPDATE"):
        return []
    text = _text(request.object)
    if request.operation == "UPDATE" and text == _text(request.old_object):
        return []
    return [str(problem) for problem in read(text).problems]


def _text(item: msgspec.Raw) -> str:
    return (msgspec.json.decode(item, type=ConfigMap).data or {}).get(DATA_KEY, "")
