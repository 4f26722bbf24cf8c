from __future__ import annotations

import pytest

from metallb_py.protocols.memberlist.awareness import Awareness


def test_awareness_score_of_zero_leaves_timeouts_unchanged() -> None:
    assert Awareness(8).scaled(0.5) == 0.5


def test_awareness_score_scales_timeouts() -> None:
    health = Awareness(8)
    health.change(1)
    assert health.scaled(0.5) == 1.0
    health.change(2)
    assert health.scaled(0.5) == 2.0
    health.change(-1)
    assert health.score == 2


@pytest.mark.parametrize(("by", "score"), [(100, 7), (-100, 0)])
def test_awareness_score_stays_within_its_limits(by: int, score: int) -> None:
    health = Awareness(8)
    health.change(by)
    assert health.score == score


@pytest.mark.parametrize("limit", [0, 1])
def test_limit_of_zero_or_one_disables_awareness(limit: int) -> None:
    health = Awareness(limit)
    health.change(1)
    assert health.score == 0
