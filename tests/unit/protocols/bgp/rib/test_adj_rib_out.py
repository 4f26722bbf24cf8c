from __future__ import annotations

from ipaddress import ip_network

import pytest

from metallb_py.addresses import IPNetwork
from metallb_py.protocols.bgp.rib.adj_rib_out import (
    AdjRibOut,
    Batch,
    PrefixCounts,
    RouteAttributes,
)

PLAIN = RouteAttributes()
LOCAL = RouteAttributes(local_pref=100)
BOTH = frozenset({4, 6})


def prefix(text: str) -> IPNetwork:
    return ip_network(text)


A, B, C = (prefix(f"192.0.2.{number}/32") for number in (1, 2, 3))
V6 = prefix("2001:db8::1/128")


@pytest.fixture
def told() -> AdjRibOut:
    """A peer that knows A and B."""
    rib = AdjRibOut()
    rib.open(BOTH)
    rib.change({A: PLAIN, B: PLAIN})
    rib.take(10)
    return rib


def everything(rib: AdjRibOut) -> Batch:
    batch = rib.take(1000)
    assert rib.settled
    return batch


def test_a_new_peer_is_told_everything_grouped_by_what_is_said() -> None:
    rib = AdjRibOut()
    rib.change({A: PLAIN, B: LOCAL, C: PLAIN})
    assert rib.settled  # nobody is there to be told
    rib.open(BOTH)

    assert everything(rib) == Batch({PLAIN: (A, C), LOCAL: (B,)}, ())


def test_only_what_changed_is_told(told: AdjRibOut) -> None:
    told.change({B: LOCAL, C: PLAIN}, [A])

    assert everything(told) == Batch({LOCAL: (B,), PLAIN: (C,)}, (A,))


@pytest.mark.parametrize(
    "there_and_back",
    [
        [({}, [A]), ({A: PLAIN}, [])],
        [({A: LOCAL}, []), ({A: PLAIN}, [])],
        [({C: PLAIN}, []), ({}, [C])],
        [({A: PLAIN}, [])],
        [({}, [C])],
    ],
)
def test_a_change_that_is_taken_back_is_none(
    told: AdjRibOut,
    there_and_back: list[tuple[dict[IPNetwork, RouteAttributes], list[IPNetwork]]],
) -> None:
    for wanted, unwanted in there_and_back:
        told.change(wanted, unwanted)

    assert told.settled
    assert told.counts == PrefixCounts(2, 2, 0)


def test_a_batch_is_bounded_and_the_rest_comes_later(told: AdjRibOut) -> None:
    told.change({C: PLAIN}, [A, B])

    assert told.take(2) == Batch({}, (A, B))
    assert told.take(2) == Batch({PLAIN: (C,)}, ())
    assert told.settled


def test_a_peer_that_was_gone_is_told_the_full_set_again(told: AdjRibOut) -> None:
    told.close()
    told.change({C: PLAIN}, [A])
    assert told.settled
    assert told.counts.announced == 0
    told.open(BOTH)

    assert everything(told) == Batch({PLAIN: (B, C)}, ())


def test_prefixes_of_a_family_that_is_not_carried_wait_and_are_counted() -> None:
    rib = AdjRibOut()
    rib.open(frozenset({4}))
    rib.change({A: PLAIN, V6: PLAIN})
    assert everything(rib) == Batch({PLAIN: (A,)}, ())
    assert rib.counts == PrefixCounts(1, 2, 1)

    rib.change({}, [V6])
    assert rib.settled
    assert rib.counts == PrefixCounts(1, 1, 0)


def test_resending_repeats_what_is_wanted_and_still_withdraws_what_is_not(
    told: AdjRibOut,
) -> None:
    told.change({}, [A])
    told.resend()

    assert everything(told) == Batch({PLAIN: (B,)}, (A,))


def test_what_is_to_be_resent_can_still_be_withdrawn(told: AdjRibOut) -> None:
    told.resend()
    told.change({}, [A])

    assert everything(told) == Batch({PLAIN: (B,)}, (A,))


def test_what_is_to_be_resent_is_not_taken_for_known(told: AdjRibOut) -> None:
    told.resend()
    told.change({A: LOCAL})
    told.change({A: PLAIN})

    assert everything(told) == Batch({PLAIN: (A, B)}, ())


def test_a_peer_that_takes_no_family_of_ours_is_told_nothing() -> None:
    rib = AdjRibOut()
    rib.change({A: PLAIN, V6: PLAIN})
    assert rib.counts == PrefixCounts(0, 2, 0)  # without a peer, nobody knows yet
    rib.open(frozenset())

    assert rib.settled
    assert rib.counts == PrefixCounts(0, 2, 2)


@pytest.mark.parametrize("again", [False, True])
def test_equal_attributes_come_together_however_they_were_wanted(again: bool) -> None:
    out = AdjRibOut()
    prefixes = [prefix(f"192.0.2.{number}/32") for number in range(6)]
    out.change({each: (PLAIN, LOCAL)[n % 2] for n, each in enumerate(prefixes)})
    out.open(frozenset({4}))
    if again:
        out.take(6)
        out.resend(4)

    assert out.take(3) == Batch({PLAIN: tuple(prefixes[::2])}, ())
    assert out.take(3) == Batch({LOCAL: tuple(prefixes[1::2])}, ())
