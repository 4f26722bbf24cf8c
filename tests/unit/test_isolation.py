"""Whatever is raised for one service is told, not raised."""

from __future__ import annotations

import pytest

from metallb_py.isolation import InternalError, contain


def test_the_result_of_work_that_succeeds() -> None:
    assert contain(lambda: 7) == 7


@pytest.mark.parametrize("error", [ValueError("x" * 10_000), KeyError("y"), RecursionError()])
def test_an_exception_is_told_in_brief_with_its_place(error: Exception) -> None:
    def work() -> None:
        raise error

    failed = contain(work)
    assert isinstance(failed, InternalError)
    assert failed.detail.startswith(type(error).__name__)
    assert "test_isolation, line " in failed.detail
    assert len(failed.detail) < 400


def test_an_orderly_end_is_none() -> None:
    def work() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        contain(work)
