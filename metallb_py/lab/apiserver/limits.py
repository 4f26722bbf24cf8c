"""Limits of kube-apiserver in bytes, of annotations, data and requests; short: three checks."""

from __future__ import annotations

import base64

from metallb_py.errors import ApiError
from metallb_py.lab.apiserver.store import Json, Object, metadata

MAX_BODY = 3 * 1024 * 1024
MAX_ANNOTATIONS = 256 * 1024
MAX_DATA = 1024 * 1024


def check_sizes(item: Object) -> None:
    """Raise ApiError (422) where an object is larger than kube-apiserver stores it."""
    annotations = metadata(item).get("annotations")
    total = sum(len(key.encode()) + _size(value) for key, value in _entries(annotations))
    if total > MAX_ANNOTATIONS:
        raise ApiError(
            f"metadata.annotations: Too long: may not be more than {MAX_ANNOTATIONS}", 422
        )
    data = sum(_size(value) for _, value in _entries(item.get("data")))
    data += sum(len(base64.b64decode(str(value))) for _, value in _entries(item.get("binaryData")))
    if item.get("kind") == "ConfigMap" and data > MAX_DATA:
        raise ApiError(f"[]: Too long: may not be more than {MAX_DATA} bytes", 422)


def _entries(value: Json) -> list[tuple[str, Json]]:
    return list(value.items()) if isinstance(value, dict) else []


def _size(value: Json) -> int:
    return len(str(value).encode())
