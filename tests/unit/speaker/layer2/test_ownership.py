"""Owned addresses, by the services that announce them."""

from __future__ import annotations

from ipaddress import ip_address

from speaker.layer2.ownership import Owned

A, B, C = (ip_address(text) for text in ("192.0.2.1", "192.0.2.2", "2001:db8::1"))
NOTHING = frozenset[object]()


def test_the_first_service_gains_an_address_and_the_last_one_loses_it() -> None:
    owned = Owned()

    assert owned.announce("default/a", [A]) == NOTHING
    assert A in owned
    assert owned.announce("default/b", [A]) == NOTHING
    assert owned.withdraw("default/a") == NOTHING
    assert A in owned
    assert owned.withdraw("default/b") == {A}
    assert A not in owned


def test_announcing_again_changes_nothing() -> None:
    # MetalLB 0.12 counts each resync, so that one withdrawal leaves the address owned.
    owned = Owned()
    owned.announce("default/a", [A])

    for _ in range(3):
        assert owned.announce("default/a", [A]) == NOTHING
    assert owned.withdraw("default/a") == {A}


def test_a_dual_stack_service_loses_the_address_that_it_does_not_share() -> None:
    # MetalLB 0.12 stops at the first address that another service still has.
    owned = Owned()
    owned.announce("default/dual", [A, C])
    owned.announce("default/other", [A])

    assert owned.withdraw("default/dual") == {C}
    assert owned.addresses == {A}


def test_an_announcement_replaces_the_earlier_one() -> None:
    owned = Owned()
    owned.announce("default/a", [A, C])

    assert owned.announce("default/a", [B, C]) == {A}
    assert owned.addresses == {B, C}


def test_withdrawing_an_unannounced_service_changes_nothing() -> None:
    owned = Owned()
    assert owned.withdraw("default/a") == NOTHING
    assert owned.announce("default/a", []) == NOTHING
    assert owned.addresses == frozenset()


def test_an_address_named_twice_counts_once() -> None:
    owned = Owned()
    owned.announce("default/a", [A, A])
    assert owned.withdraw("default/a") == {A}
