from __future__ import annotations

import pytest

from metallb_py.protocols.memberlist.settings import FAST, LAN, Settings
from metallb_py.protocols.memberlist.suspicion import (
    Suspicion,
    least_time,
    push_pull_interval,
    retransmissions,
)

SINCE = 100.0


def suspected(members: int, settings: Settings = LAN) -> Suspicion:
    suspicion = Suspicion(settings, members, "a", SINCE)
    suspicion.seen = True
    return suspicion


def lasts(suspicion: Suspicion) -> float:
    return suspicion.deadline - SINCE


# The figures are those of memberlist's util_test.go and suspicion_test.go, where it has any.


@pytest.mark.parametrize(
    ("members", "seconds"), [(0, 4.0), (1, 4.0), (10, 4.0), (100, 8.0), (1000, 12.0)]
)
def test_the_least_time_of_a_suspicion(members: int, seconds: float) -> None:
    assert least_time(LAN, members) == pytest.approx(seconds)


@pytest.mark.parametrize(("members", "times"), [(0, 0), (1, 4), (9, 4), (10, 8), (99, 8)])
def test_how_often_each_rumour_is_told(members: int, times: int) -> None:
    assert retransmissions(LAN, members) == times


@pytest.mark.parametrize(
    ("members", "factor"), [(1, 1), (32, 1), (33, 2), (64, 2), (65, 3), (128, 3), (500, 5)]
)
def test_larger_clusters_exchange_everything_less_often(members: int, factor: int) -> None:
    assert push_pull_interval(LAN, members) == factor * LAN.push_pull_interval


def test_one_alone_waits_longest_and_each_that_agrees_shortens_it() -> None:
    suspicion = suspected(10)
    assert lasts(suspicion) == pytest.approx(24.0)
    assert suspicion.confirm("b")
    assert lasts(suspicion) == pytest.approx(24.0 - 20.0 * 0.6309, abs=0.001)  # log 2 / log 3
    assert suspicion.confirm("c")
    assert lasts(suspicion) == pytest.approx(4.0)


def test_nobody_counts_twice_and_no_more_than_needed() -> None:
    suspicion = suspected(10)
    assert not suspicion.confirm("a")
    suspicion.confirm("b")
    assert not suspicion.confirm("b")
    suspicion.confirm("c")
    assert not suspicion.confirm("d")
    assert suspicion.confirmations == 2


@pytest.mark.parametrize(("members", "settings"), [(2, LAN), (3, LAN), (2, FAST)])
def test_where_nobody_could_agree_it_lasts_the_least_time(members: int, settings: Settings) -> None:
    assert lasts(suspected(members, settings)) == least_time(settings, members)


def test_who_has_not_looked_leaves_it_for_a_moment_to_those_who_have() -> None:
    suspicion = suspected(2, FAST)
    looked = lasts(suspicion)
    suspicion.seen = False
    assert lasts(suspicion) == looked + FAST.probe_interval


def test_who_was_heard_of_has_its_time_anew() -> None:
    suspicion = suspected(2, FAST)
    suspicion.answered(SINCE + 1.0)
    assert not suspicion.seen
    assert lasts(suspicion) == pytest.approx(1.0 + least_time(FAST, 2))


def test_it_waits_for_a_last_look() -> None:
    suspicion = suspected(2, FAST)
    suspicion.wait(SINCE + 9.0)
    assert lasts(suspicion) == 9.0
