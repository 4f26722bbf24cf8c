from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from metallb_py.protocols.memberlist.random import pick


@pytest.mark.parametrize("size", [0, 1, 2, 8, 9, 10, 100])
def test_different_elements_that_fit(size: int) -> None:
    chance = Random(1)
    among = list(range(size))
    there_are = min(3, len(among[::2]))
    fewer = 0
    for _ in range(200):
        found = pick(chance, 3, among, lambda n: n % 2 == 0)
        assert len(set(found)) == len(found) <= there_are
        assert all(n % 2 == 0 for n in found)
        fewer += len(found) < there_are
    assert fewer <= (10 if size > 9 else 0)  # seldom, and only where it draws


def test_each_is_as_likely() -> None:
    chance = Random(1)
    drawn = Counter(n for _ in range(8000) for n in pick(chance, 2, range(20), lambda _: True))
    assert all(700 < drawn[n] < 900 for n in range(20))


def test_among_many_it_does_not_look_at_all() -> None:
    looked: list[int] = []

    def never(n: int) -> bool:
        looked.append(n)
        return False

    assert pick(Random(1), 3, range(10_000), never) == ()
    assert len(looked) < 30


def test_the_same_seed_draws_the_same() -> None:
    draws = [pick(Random(5), 3, range(100), lambda _: True) for _ in range(2)]
    assert draws[0] == draws[1]
