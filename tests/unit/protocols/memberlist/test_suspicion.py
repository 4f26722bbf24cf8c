from __future__ import annotations

import pytest

from metallb_py.protocols.memberlist.settings import FAST, LAN, Settings
from metallb_py.protocols.memberlist.suspicion import (
    Suspicion,
    min_suspicion_timeout,
    push_pull_interval,
    retransmit_limit,
)

SINCE = 100.0


def suspected(members: int, settings: Settings = LAN) -> Suspicion:
    suspicion = Suspicion(settings, members, "a", SINCE)
    suspicion.probe_failed = True
    return suspicion


def timeout(suspicion: Suspicion) -> float:
    return suspicion.deadline - SINCE


# The figures are those of memberlist's util_test.go and suspicion_test.go, where it has any.


@pytest.mark.parametrize(
    ("members", "seconds"), [(0, 4.0), (1, 4.0), (10, 4.0), (100, 8.0), (1000, 12.0)]
)
def test_minimum_suspicion_timeout_grows_with_the_cluster(members: int, seconds: float) -> None:
    assert min_suspicion_timeout(LAN, members) == pytest.approx(seconds)


@pytest.mark.parametrize(("members", "times"), [(0, 0), (1, 4), (9, 4), (10, 8), (99, 8)])
def test_retransmit_limit_grows_with_the_cluster(members: int, times: int) -> None:
    assert retransmit_limit(LAN, members) == times


@pytest.mark.parametrize(
    ("members", "factor"), [(1, 1), (32, 1), (33, 2), (64, 2), (65, 3), (128, 3), (500, 5)]
)
def test_push_pull_interval_grows_with_the_cluster(members: int, factor: int) -> None:
    assert push_pull_interval(LAN, members) == factor * LAN.push_pull_interval


def test_each_confirmation_shortens_the_suspicion_timeout() -> None:
    suspicion = suspected(10)
    assert timeout(suspicion) == pytest.approx(24.0)
    suspicion.confirm("b")
    assert timeout(suspicion) == pytest.approx(24.0 - 20.0 * 0.6309, abs=0.001)  # log 2 / log 3
    suspicion.confirm("c")
    assert timeout(suspicion) == pytest.approx(4.0)


def test_reporter_confirms_once_and_only_as_many_as_needed_count() -> None:
    suspicion = suspected(10)
    assert not suspicion.is_shortened_by("a")
    for reporter in ("b", "c"):
        assert suspicion.is_shortened_by(reporter)
        suspicion.confirm(reporter)
        assert not suspicion.is_shortened_by(reporter)
    assert not suspicion.is_shortened_by("d")
    assert suspicion.confirmations == 2


@pytest.mark.parametrize(("members", "settings"), [(2, LAN), (3, LAN), (2, FAST)])
def test_suspicion_timeout_is_minimal_without_possible_confirmations(
    members: int, settings: Settings
) -> None:
    assert timeout(suspected(members, settings)) == min_suspicion_timeout(settings, members)


def test_member_without_failed_probe_waits_one_probe_interval_longer() -> None:
    suspicion = suspected(2, FAST)
    after_probe = timeout(suspicion)
    suspicion.probe_failed = False
    assert timeout(suspicion) == after_probe + FAST.probe_interval


def test_ack_restarts_the_suspicion_timeout() -> None:
    suspicion = suspected(2, FAST)
    suspicion.answered(SINCE + 1.0)
    assert not suspicion.probe_failed
    assert timeout(suspicion) == pytest.approx(1.0 + min_suspicion_timeout(FAST, 2))


def test_wait_extends_the_suspicion_for_a_last_probe() -> None:
    suspicion = suspected(2, FAST)
    suspicion.wait(SINCE + 9.0)
    assert timeout(suspicion) == 9.0
