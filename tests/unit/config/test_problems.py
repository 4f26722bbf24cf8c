"""Problems of a configuration: text form, collection, and the limit of steps."""

from __future__ import annotations

import pytest

from metallb_py.config.compile.read_config import read_config
from metallb_py.config.problems import (
    MAX_PROBLEMS,
    Budget,
    ConfigError,
    Findings,
    Problem,
    one_line,
)


def test_problem_states_its_place_and_message() -> None:
    problem = Problem(9, 'address-pools[1] "blue"', "want a prefix length up to 32")
    assert str(problem) == 'address-pools[1] "blue", line 9: want a prefix length up to 32'
    assert str(Problem(1, "", "no YAML")) == "line 1: no YAML"


def test_config_error_lists_every_problem_on_one_line() -> None:
    error = ConfigError((Problem(1, "a", "x"), Problem(2, "b", "y")))
    assert str(error) == "a, line 1: x; b, line 2: y"


def test_a_message_is_one_line_of_bounded_length() -> None:
    assert one_line('a "b" c') == 'a "b" c'
    assert one_line("a\nb\x1b[0m\ud800\u2028é") == "a\\nb\\x1b[0m\\ud800\\u2028é"
    shown = one_line("start " + "x" * 10_000 + " want y")
    assert len(shown) < 700
    assert shown.startswith("start x")
    assert shown.endswith("x want y")


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


def test_findings_raise_only_if_there_are_any() -> None:
    findings = Findings()
    findings.raise_if_any()
    findings.add(3, "peers[0]", "bad")
    with pytest.raises(ConfigError) as error:
        findings.raise_if_any()
    assert error.value.problems == (Problem(3, "peers[0]", "bad"),)


def test_findings_are_sorted_and_each_is_reported_once() -> None:
    findings = Findings()
    for line in (5, 2, 5):
        findings.add(line, "x", "bad")
    with pytest.raises(ConfigError) as error:
        findings.raise_if_any()
    assert [problem.line for problem in error.value.problems] == [2, 5]


def test_findings_are_bounded() -> None:
    findings = Findings()
    for line in range(1, MAX_PROBLEMS + 4):
        findings.add(line, "x", "bad")
    with pytest.raises(ConfigError) as error:
        findings.raise_if_any()
    assert len(error.value.problems) == MAX_PROBLEMS + 1
    assert error.value.problems[-1] == Problem(MAX_PROBLEMS, "", "3 more problems")
