from __future__ import annotations

import pytest

from metallb_py.protocols.bgp.attempts import Attempts
from metallb_py.protocols.bgp.codec.messages import Notification


def test_delays_grow_from_none() -> None:
    attempts = Attempts(None)
    assert [attempts.failed("refused", lasted=False) for _ in range(4)] == [0, 1, 2, 4]
    assert attempts.failed("reset", lasted=True) == 0
    assert attempts.failed("reset", lasted=False) == 0


def test_chance_shortens_a_delay_by_a_quarter_at_the_most() -> None:
    attempts = Attempts(None, lambda: 0.999)
    delays = [attempts.failed("reset", lasted=False) for _ in range(20)]

    assert delays[0] == 0, "the first attempt after a failure comes at once"
    assert delays[1:4] == pytest.approx([0.75, 1.5, 3], rel=0.01)
    assert delays[-1] == pytest.approx(90, rel=0.01)


def test_a_configured_time_is_always_waited_for() -> None:
    attempts = Attempts(7)
    assert [attempts.failed("refused", lasted=lasted) for lasted in (False, False, True)] == [7] * 3


@pytest.mark.parametrize("subcode", [4, 7])
def test_who_refuses_capabilities_is_asked_without(subcode: int) -> None:
    attempts = Attempts(None)
    attempts.failed(Notification(2, subcode), lasted=False)
    assert attempts.bare
    attempts.failed("connection reset", lasted=False)
    assert not attempts.bare


def test_who_refuses_that_too_is_asked_as_before() -> None:
    attempts = Attempts(None)
    for bare in (True, False, True):
        attempts.failed(Notification(2, 7), lasted=False)
        assert attempts.bare == bare


@pytest.mark.parametrize("cause", [Notification(2, 2), Notification(6, 7), "reset", None])
def test_other_reasons_change_nothing(cause: object) -> None:
    attempts = Attempts(None)
    attempts.failed(cause, lasted=False)
    assert not attempts.bare
