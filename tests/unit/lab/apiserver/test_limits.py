"""Object sizes that kube-apiserver rejects."""

from __future__ import annotations

import base64

import pytest

from metallb_py.errors import ApiError
from metallb_py.lab.apiserver.limits import MAX_ANNOTATIONS, MAX_DATA, check_sizes


def test_annotations_are_limited_to_256_kibibytes_in_total() -> None:
    half = MAX_ANNOTATIONS // 2
    check_sizes({"metadata": {"annotations": {"a": "x" * (half - 1), "b": "x" * (half - 1)}}})
    with pytest.raises(ApiError, match=r"metadata\.annotations: Too long") as caught:
        check_sizes({"metadata": {"annotations": {"a": "x" * half, "b": "x" * half}}})
    assert caught.value.status == 422


def test_configmap_data_is_limited_to_one_mebibyte() -> None:
    binary = base64.b64encode(b"x" * (MAX_DATA // 2)).decode()
    item = {"kind": "ConfigMap", "binaryData": {"b": binary}}
    check_sizes({**item, "data": {"a": "x" * (MAX_DATA // 2)}})
    with pytest.raises(ApiError, match="may not be more than 1048576 bytes"):
        check_sizes({**item, "data": {"a": "x" * (MAX_DATA // 2 + 1)}})
