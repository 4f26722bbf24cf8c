"""Addresses that moved to another node."""

from __future__ import annotations

from speaker.responder.handover import LINGER, OVERLAP, REMEMBERED, SETTLING, Lingering

A, B = b"\x0a\0\0\1", b"\x0a\0\0\2"


def test_an_address_is_let_go_when_its_time_is_over() -> None:
    lingering = Lingering()
    lingering.leave({A: ("eth0",)}, 5.0)
    assert lingering.places == {A: ("eth0",)}
    assert lingering.next_deadline() == 5.0 + LINGER
    assert not lingering.handle_timeout(5.0 + LINGER / 2)
    assert lingering.handle_timeout(5.0 + LINGER)
    assert lingering.places == {}
    assert lingering.next_deadline() is None


def test_an_address_is_let_go_when_its_new_owner_is_heard() -> None:
    lingering = Lingering()
    lingering.leave({A: (), B: ()}, 5.0)
    lingering.heard(A, 5.1)
    lingering.heard(b"\x0a\0\0\3", 5.1)
    lingering.heard(A, 5.11)
    assert not lingering.handle_timeout(5.1), "a question may still be on its way"
    assert lingering.next_deadline() == 5.1 + OVERLAP
    assert lingering.handle_timeout(5.1 + OVERLAP)
    assert lingering.places == {B: ()}


def test_an_address_that_comes_back_is_owned() -> None:
    lingering = Lingering()
    lingering.leave({A: (), B: ()}, 5.0)
    lingering.take({A}, 5.1)
    assert lingering.places == {B: ()}


def test_a_new_owner_that_was_heard_before_we_knew_needs_nobody() -> None:
    lingering = Lingering()
    lingering.heard(A, 5.0)
    lingering.heard(B, 5.0 - LINGER)  # long ago: somebody else, or another time
    lingering.leave({A: (), B: ()}, 5.1)
    assert lingering.places == {B: ()}
    lingering.leave({A: ()}, 5.2)
    assert lingering.places == {A: (), B: ()}


def test_a_new_owner_that_was_heard_a_moment_ago_may_have_missed_a_question() -> None:
    lingering = Lingering()
    lingering.heard(A, 5.0)
    lingering.leave({A: ()}, 5.0 + OVERLAP / 2)
    assert lingering.places == {A: ()}
    assert lingering.handle_timeout(5.0 + OVERLAP)
    assert lingering.places == {}


def test_bursts_of_the_earlier_owner_are_none_of_the_next_one() -> None:
    """They go on for seconds after the address was taken."""
    lingering = Lingering()
    lingering.heard(A, 4.9)
    lingering.take({A, B}, 5.0)
    lingering.heard(A, 5.0 + SETTLING / 2)
    lingering.leave({A: ()}, 5.1 + SETTLING / 2)
    assert lingering.places == {A: ()}
    lingering.heard(B, 5.0 + SETTLING)
    lingering.leave({B: ()}, 5.1 + SETTLING)
    assert lingering.places == {A: ()}


def test_an_address_that_was_given_up_is_taken_anew() -> None:
    lingering = Lingering()
    lingering.take({A}, 5.0)
    lingering.take(set(), 8.0)
    lingering.take({A}, 9.0)
    lingering.heard(A, 9.1)
    lingering.leave({A: ()}, 9.2)
    assert lingering.places == {A: ()}


def test_what_is_heard_is_bounded() -> None:
    lingering = Lingering()
    for number in range(REMEMBERED + 1):
        lingering.heard(number.to_bytes(4), 5.0)
    lingering.leave({bytes(4): ()}, 5.1)
    assert lingering.places == {bytes(4): ()}, "forgotten: it lingers, which does no harm"
