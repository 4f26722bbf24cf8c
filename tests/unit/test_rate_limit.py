"""Rate limits for each source and in total."""

from metallb_py.rate_limit import Admitted, Rate, RateLimiter

MANY = Rate(burst=1000, per_second=1000)


def test_a_source_has_a_burst_and_then_its_rate() -> None:
    limiter = RateLimiter(each=Rate(burst=2, per_second=0.5), total=MANY)
    assert limiter.admit("a", 0) == Admitted()
    assert limiter.admit("a", 0) == Admitted()
    assert limiter.admit("a", 1.9) is None
    assert limiter.admit("a", 2.0) == Admitted(suppressed=1)
    assert limiter.admit("a", 2.1) is None


def test_one_source_takes_nothing_from_another() -> None:
    limiter = RateLimiter(each=Rate(burst=1, per_second=0), total=MANY)
    assert limiter.admit("a", 0)
    assert limiter.admit("a", 0) is None
    assert limiter.admit("b", 0)


def test_forged_sources_are_bounded_in_total() -> None:
    limiter = RateLimiter(each=Rate(burst=5, per_second=1), total=Rate(burst=10, per_second=1))
    admitted = [limiter.admit(number, 0) for number in range(10_000)]
    assert sum(each is not None for each in admitted) == 10
    assert limiter.admit("late", 1.0)


def test_least_recently_seen_source_is_forgotten() -> None:
    limiter = RateLimiter(each=Rate(burst=1, per_second=0), total=MANY, max_sources=2)
    assert limiter.admit("a", 0)
    assert limiter.admit("b", 0)
    assert limiter.admit("a", 0) is None
    assert limiter.admit("c", 0)
    assert limiter.admit("a", 0) is None
    assert limiter.admit("b", 0)


def test_clock_that_goes_back_refills_nothing() -> None:
    limiter = RateLimiter(each=Rate(burst=1, per_second=1), total=MANY)
    assert limiter.admit("a", 10)
    assert limiter.admit("a", 5) is None


def test_debt_is_refilled_before_anything_is_admitted() -> None:
    limiter = RateLimiter(each=Rate(burst=10, per_second=1), total=MANY)
    assert limiter.admit("a", 0, 30)
    assert limiter.admit("a", 20.9) is None
    assert limiter.admit("a", 21.0)


def test_later_cost_is_charged_to_the_source_and_to_the_total() -> None:
    limiter = RateLimiter(each=Rate(burst=10, per_second=1), total=Rate(burst=15, per_second=1))
    assert limiter.admit("a", 0)
    limiter.charge("a", 0, 13)
    assert limiter.admit("a", 4) is None
    assert limiter.admit("b", 4)
    assert limiter.admit("a", 6)
