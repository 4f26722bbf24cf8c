from __future__ import annotations

from ipaddress import ip_network

import pytest

from metallb_py.addresses import IPNetwork
from metallb_py.model.route_attributes import RouteAttributes
from metallb_py.protocols.bgp.rib.adj_rib_out import AdjRibOut, Batch, PrefixCounts

PLAIN = RouteAttributes()
LOCAL = RouteAttributes(local_pref=100)
BOTH = frozenset({4, 6})


def prefix(text: str) -> IPNetwork:
    return ip_network(text)


A, B, C = (prefix(f"192.0.2.{number}/32") for number in (1, 2, 3))
V6 = prefix("2001:db8::1/128")


@pytest.fixture
def synced() -> AdjRibOut:
    """Provide an Adj-RIB-Out in sync, with A and B sent to the peer."""
    rib = AdjRibOut()
    rib.open(BOTH)
    rib.change({A: PLAIN, B: PLAIN})
    rib.take(10)
    return rib


def take_all(rib: AdjRibOut) -> Batch:
    batch = rib.take(1000)
    assert rib.in_sync
    return batch


def test_new_session_gets_all_routes_grouped_by_attributes() -> None:
    rib = AdjRibOut()
    rib.change({A: PLAIN, B: LOCAL, C: PLAIN})
    assert rib.in_sync  # no session is open
    rib.open(BOTH)

    assert take_all(rib) == Batch({PLAIN: (A, C), LOCAL: (B,)}, ())


def test_only_changed_routes_are_taken(synced: AdjRibOut) -> None:
    synced.change({B: LOCAL, C: PLAIN}, [A])

    assert take_all(synced) == Batch({LOCAL: (B,), PLAIN: (C,)}, (A,))


@pytest.mark.parametrize(
    "changes",
    [
        [({}, [A]), ({A: PLAIN}, [])],
        [({A: LOCAL}, []), ({A: PLAIN}, [])],
        [({C: PLAIN}, []), ({}, [C])],
        [({A: PLAIN}, [])],
        [({}, [C])],
    ],
)
def test_reverted_change_sends_nothing(
    synced: AdjRibOut,
    changes: list[tuple[dict[IPNetwork, RouteAttributes], list[IPNetwork]]],
) -> None:
    for wanted, unwanted in changes:
        synced.change(wanted, unwanted)

    assert synced.in_sync
    assert synced.counts == PrefixCounts(2, 2, 0)


def test_batch_is_bounded_and_the_rest_follows_later(synced: AdjRibOut) -> None:
    synced.change({C: PLAIN}, [A, B])

    assert synced.take(2) == Batch({}, (A, B))
    assert synced.take(2) == Batch({PLAIN: (C,)}, ())
    assert synced.in_sync


def test_reopened_session_gets_the_full_set_again(synced: AdjRibOut) -> None:
    synced.close()
    synced.change({C: PLAIN}, [A])
    assert synced.in_sync
    assert synced.counts.announced == 0
    synced.open(BOTH)

    assert take_all(synced) == Batch({PLAIN: (B, C)}, ())


def test_prefixes_of_a_family_not_carried_wait_and_are_counted() -> None:
    rib = AdjRibOut()
    rib.open(frozenset({4}))
    rib.change({A: PLAIN, V6: PLAIN})
    assert take_all(rib) == Batch({PLAIN: (A,)}, ())
    assert rib.counts == PrefixCounts(1, 2, 1)

    rib.change({}, [V6])
    assert rib.in_sync
    assert rib.counts == PrefixCounts(1, 1, 0)


def test_resend_repeats_wanted_routes_and_keeps_withdrawals(synced: AdjRibOut) -> None:
    synced.change({}, [A])
    synced.resend()

    assert take_all(synced) == Batch({PLAIN: (B,)}, (A,))


def test_route_to_be_resent_can_still_be_withdrawn(synced: AdjRibOut) -> None:
    synced.resend()
    synced.change({}, [A])

    assert take_all(synced) == Batch({PLAIN: (B,)}, (A,))


def test_route_to_be_resent_is_sent_though_its_change_was_reverted(synced: AdjRibOut) -> None:
    synced.resend()
    synced.change({A: LOCAL})
    synced.change({A: PLAIN})

    assert take_all(synced) == Batch({PLAIN: (A, B)}, ())


def test_peer_without_a_common_family_gets_no_routes() -> None:
    rib = AdjRibOut()
    rib.change({A: PLAIN, V6: PLAIN})
    assert rib.counts == PrefixCounts(0, 2, 0)  # not known before a session is open
    rib.open(frozenset())

    assert rib.in_sync
    assert rib.counts == PrefixCounts(0, 2, 2)


@pytest.mark.parametrize("again", [False, True])
def test_batches_group_equal_attributes_in_any_order_of_changes(again: bool) -> None:
    out = AdjRibOut()
    prefixes = [prefix(f"192.0.2.{number}/32") for number in range(6)]
    out.change({each: (PLAIN, LOCAL)[n % 2] for n, each in enumerate(prefixes)})
    out.open(frozenset({4}))
    if again:
        out.take(6)
        out.resend(4)

    assert out.take(3) == Batch({PLAIN: tuple(prefixes[::2])}, ())
    assert out.take(3) == Batch({LOCAL: tuple(prefixes[1::2])}, ())
