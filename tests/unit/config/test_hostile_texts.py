"""Texts made to be costly: one documented error, and work linear in the length of the text."""

from __future__ import annotations

import pytest
from support.kube.config_text import calls
from support.kube.expensive_configs import GROWING, TEXTS

from metallb_py.config.compile.read_config import read_config
from metallb_py.config.problems import MAX_STEPS, Budget, ConfigError, Problem


def read(text: str, budget: Budget | None = None) -> tuple[Problem, ...]:
    try:
        read_config(text, budget=budget)
    except ConfigError as error:
        return error.problems
    return ()


@pytest.mark.parametrize("name", TEXTS)
def test_hostile_text_is_read_or_rejected_within_the_step_budget(name: str) -> None:
    budget = Budget()
    for problem in read(TEXTS[name], budget):
        assert problem.line >= 1
        assert problem.message
        assert len(str(problem)) < 2000
        assert str(problem).isprintable()
    assert budget.spent <= MAX_STEPS


@pytest.mark.parametrize("name", GROWING)
def test_twice_the_text_takes_about_twice_the_function_calls(name: str) -> None:
    small, large = GROWING[name](20), GROWING[name](40)
    assert calls(lambda: read(large)) < 2.6 * calls(lambda: read(small))


@pytest.mark.parametrize("name", GROWING)
def test_budget_steps_grow_in_proportion_to_the_text(name: str) -> None:
    small, large = Budget(), Budget()
    read(GROWING[name](20), small)
    read(GROWING[name](40), large)
    assert small.spent < large.spent < 2.6 * small.spent
