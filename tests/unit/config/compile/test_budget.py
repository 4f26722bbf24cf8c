"""Limit on the steps that compiling a configuration may take."""

from __future__ import annotations

import pytest

from metallb_py.config.compile.budget import Budget
from metallb_py.config.compile.read_config import read_config
from metallb_py.config.problems import ConfigError


def test_budget_limits_the_number_of_steps() -> None:
    budget = Budget(3)
    budget.spend(2)
    budget.spend()
    assert budget.spent == 3
    with pytest.raises(ConfigError, match="more than 3 steps to check: want a smaller one"):
        budget.spend()


def test_cancelled_budget_raises_at_the_next_step() -> None:
    budget = Budget()
    budget.spend()
    budget.cancel()
    with pytest.raises(ConfigError, match="not read completely"):
        budget.spend()


def test_configuration_over_the_step_budget_is_rejected() -> None:
    text = "address-pools: [{name: a, protocol: layer2, addresses: [10.0.0.0/24]}]"
    budget = Budget()
    assert read_config(text, budget=budget).pools
    assert 0 < budget.spent < 100
    with pytest.raises(ConfigError, match="want a smaller one"):
        read_config(text, budget=Budget(budget.spent - 1))


def test_a_renewed_budget_has_all_its_steps_and_stays_cancelled() -> None:
    budget = Budget(2)
    budget.spend(2)
    budget.renew()
    budget.spend(2)
    budget.cancel()
    budget.renew()
    with pytest.raises(ConfigError, match="stopping"):
        budget.spend()
