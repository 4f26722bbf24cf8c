"""Obstacles of a waiting change: searched for only once all known ones are gone."""

from __future__ import annotations

from metallb_py.obstacles import Obstacles


class World:
    """Objects with a size; those above the limit of a change are its obstacles."""

    def __init__(self, **sizes: int) -> None:
        self.sizes = sizes
        self.searches = 0
        self.obstacles = Obstacles()

    def fits(self, limit: int) -> bool:
        def search() -> list[str]:
            self.searches += 1
            return [key for key, size in self.sizes.items() if size > limit]

        return self.obstacles.are_gone(limit, self.sizes.get, search)


def test_no_search_while_a_known_obstacle_is_unchanged() -> None:
    world = World(a=5, b=1, c=7)
    assert not world.fits(2)
    world.sizes |= {"c": 1, "d": 9}
    assert not world.fits(2)
    assert world.searches == 1


def test_new_obstacles_are_found_once_the_known_ones_are_gone() -> None:
    world = World(a=5)
    assert not world.fits(2)
    world.sizes = {"d": 9}
    assert not world.fits(2)
    del world.sizes["d"]
    assert world.fits(2)
    assert world.searches == 3


def test_changed_obstacle_is_checked_again() -> None:
    world = World(a=5)
    assert not world.fits(2)
    world.sizes["a"] = 6
    assert not world.fits(2)
    world.sizes["a"] = 2
    assert world.fits(2)


def test_another_change_has_obstacles_of_its_own() -> None:
    world = World(a=5, b=1)
    assert not world.fits(2)
    assert world.fits(10**6)
    assert not world.fits(0)
