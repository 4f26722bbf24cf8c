from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from metallb_py.protocols.memberlist.random import sample


@pytest.mark.parametrize("size", [0, 1, 2, 8, 9, 10, 100])
def test_sample_has_distinct_elements_that_match(size: int) -> None:
    rng = Random(1)
    among = list(range(size))
    expected = min(3, len(among[::2]))
    fewer = 0
    for _ in range(200):
        found = sample(rng, 3, among, lambda n: n % 2 == 0)
        assert len(set(found)) == len(found) <= expected
        assert all(n % 2 == 0 for n in found)
        fewer += len(found) < expected
    assert fewer <= (10 if size > 9 else 0)  # rare, and only where it draws at random


def test_sample_is_uniform() -> None:
    rng = Random(1)
    drawn = Counter(n for _ in range(8000) for n in sample(rng, 2, range(20), lambda _: True))
    assert all(700 < drawn[n] < 900 for n in range(20))


def test_sample_of_many_inspects_only_a_few() -> None:
    inspected: list[int] = []

    def never(n: int) -> bool:
        inspected.append(n)
        return False

    assert sample(Random(1), 3, range(10_000), never) == ()
    assert len(inspected) < 30


def test_same_seed_gives_the_same_sample() -> None:
    draws = [sample(Random(5), 3, range(100), lambda _: True) for _ in range(2)]
    assert draws[0] == draws[1]
