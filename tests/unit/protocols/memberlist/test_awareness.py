from __future__ import annotations

import pytest

from metallb_py.protocols.memberlist.awareness import Health


def test_who_is_well_takes_times_as_they_are() -> None:
    assert Health(8).scaled(0.5) == 0.5


def test_each_sign_of_poor_health_gives_others_more_time() -> None:
    health = Health(8)
    health.change(1)
    assert health.scaled(0.5) == 1.0
    health.change(2)
    assert health.scaled(0.5) == 2.0
    health.change(-1)
    assert health.score == 2


@pytest.mark.parametrize(("by", "score"), [(100, 7), (-100, 0)])
def test_the_score_stays_within_its_limits(by: int, score: int) -> None:
    health = Health(8)
    health.change(by)
    assert health.score == score


@pytest.mark.parametrize("limit", [0, 1])
def test_a_limit_that_lets_nobody_be_unwell(limit: int) -> None:
    health = Health(limit)
    health.change(1)
    assert health.score == 0
