"""Handover of addresses that moved to another node."""

from __future__ import annotations

from speaker.responder.handover import LINGER, OVERLAP, REMEMBERED, SETTLING, Handover

A, B = b"\x0a\0\0\1", b"\x0a\0\0\2"


def test_an_address_is_released_after_linger() -> None:
    handover = Handover()
    handover.begin({A: ("eth0",)}, 5.0)
    assert handover.interfaces_by_address == {A: ("eth0",)}
    assert handover.next_deadline() == 5.0 + LINGER
    assert not handover.handle_timeout(5.0 + LINGER / 2)
    assert handover.handle_timeout(5.0 + LINGER)
    assert handover.interfaces_by_address == {}
    assert handover.next_deadline() is None


def test_an_address_is_released_after_its_new_owner_announced_it() -> None:
    handover = Handover()
    handover.begin({A: (), B: ()}, 5.0)
    handover.new_owner_announced(A, 5.1)
    handover.new_owner_announced(b"\x0a\0\0\3", 5.1)
    handover.new_owner_announced(A, 5.11)
    assert not handover.handle_timeout(5.1), "a request may still be in flight"
    assert handover.next_deadline() == 5.1 + OVERLAP
    assert handover.handle_timeout(5.1 + OVERLAP)
    assert handover.interfaces_by_address == {B: ()}


def test_a_reclaimed_address_no_longer_lingers() -> None:
    handover = Handover()
    handover.begin({A: (), B: ()}, 5.0)
    handover.set_owned({A}, 5.1)
    assert handover.interfaces_by_address == {B: ()}


def test_an_address_that_its_new_owner_announced_before_does_not_linger() -> None:
    handover = Handover()
    handover.new_owner_announced(A, 5.0)
    handover.new_owner_announced(B, 5.0 - LINGER)  # too long ago for this handover
    handover.begin({A: (), B: ()}, 5.1)
    assert handover.interfaces_by_address == {B: ()}
    handover.begin({A: ()}, 5.2)
    assert handover.interfaces_by_address == {A: (), B: ()}


def test_an_address_that_was_announced_just_before_lingers_for_overlap() -> None:
    handover = Handover()
    handover.new_owner_announced(A, 5.0)
    handover.begin({A: ()}, 5.0 + OVERLAP / 2)
    assert handover.interfaces_by_address == {A: ()}
    assert handover.handle_timeout(5.0 + OVERLAP)
    assert handover.interfaces_by_address == {}


def test_bursts_of_the_earlier_owner_are_not_taken_for_the_next_ones() -> None:
    """They go on for seconds after the address was taken over."""
    handover = Handover()
    handover.new_owner_announced(A, 4.9)
    handover.set_owned({A, B}, 5.0)
    handover.new_owner_announced(A, 5.0 + SETTLING / 2)
    handover.begin({A: ()}, 5.1 + SETTLING / 2)
    assert handover.interfaces_by_address == {A: ()}
    handover.new_owner_announced(B, 5.0 + SETTLING)
    handover.begin({B: ()}, 5.1 + SETTLING)
    assert handover.interfaces_by_address == {A: ()}


def test_an_address_that_was_withdrawn_settles_again_when_it_is_owned_again() -> None:
    handover = Handover()
    handover.set_owned({A}, 5.0)
    handover.set_owned(set(), 8.0)
    handover.set_owned({A}, 9.0)
    handover.new_owner_announced(A, 9.1)
    handover.begin({A: ()}, 9.2)
    assert handover.interfaces_by_address == {A: ()}


def test_the_number_of_remembered_announcements_is_bounded() -> None:
    handover = Handover()
    for number in range(REMEMBERED + 1):
        handover.new_owner_announced(number.to_bytes(4), 5.0)
    handover.begin({bytes(4): ()}, 5.1)
    assert handover.interfaces_by_address == {bytes(4): ()}, (
        "forgotten: it lingers, which does no harm"
    )
