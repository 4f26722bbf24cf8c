"""The free list against a plain set of numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.free_intervals import FreeList

NUMBERS = st.integers(0, 40)


def test_takes_from_a_huge_range_without_enumerating_it() -> None:
    free = FreeList(0, 2**64 - 1)
    free.take(0)
    free.take(2**63)
    assert free.lowest() == 1
    assert 2**63 not in free
    assert 2**63 + 1 in free


def test_a_taken_number_cannot_be_taken_again() -> None:
    free = FreeList(5, 6)
    free.take(5)
    with pytest.raises(KeyError):
        free.take(5)
    with pytest.raises(KeyError):
        free.take(7)


def test_a_free_number_cannot_be_released() -> None:
    free = FreeList(5, 9)
    free.take(7)
    for number in (5, 6, 8, 9):
        with pytest.raises(KeyError):
            free.give_back(number)


@given(st.lists(NUMBERS))
def test_the_free_list_behaves_like_a_set_of_numbers(toggled: list[int]) -> None:
    free, model = FreeList(0, 40), set(range(41))
    for number in toggled:
        if number in model:
            free.take(number)
            model.remove(number)
        else:
            free.give_back(number)
            model.add(number)
        assert free.lowest() == min(model, default=None)
        assert [n for n in range(-1, 43) if n in free] == sorted(model)
