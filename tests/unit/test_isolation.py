"""Containment of exceptions that are raised for one service."""

from __future__ import annotations

import pytest

from metallb_py.isolation import InternalError, contain


def test_contain_returns_the_result_of_work_that_succeeds() -> None:
    assert contain(lambda: 7) == 7


@pytest.mark.parametrize("error", [ValueError("x" * 10_000), KeyError("y"), RecursionError()])
def test_contained_exception_is_reported_in_brief_with_its_place(error: Exception) -> None:
    def work() -> None:
        raise error

    failed = contain(work)
    assert isinstance(failed, InternalError)
    assert failed.detail.startswith(type(error).__name__)
    assert "test_isolation, line " in failed.detail
    assert len(failed.detail) < 400


def test_keyboard_interrupt_is_not_contained() -> None:
    def work() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        contain(work)
