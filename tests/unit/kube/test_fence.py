"""Fence, on this machine's monotonic clock."""

from __future__ import annotations

import time

from metallb_py.kube.fence import Fence


def test_fence_is_open_until_its_deadline() -> None:
    assert Fence().is_open()
    assert not Fence(time.monotonic()).is_open()
    fence = Fence(0.0)
    fence.open_until(time.monotonic() + 60)
    assert fence.is_open()


def test_shut_fence_is_not_open() -> None:
    fence = Fence()
    fence.shut()
    assert not fence.is_open()
