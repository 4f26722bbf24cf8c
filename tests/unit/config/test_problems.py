"""How problems print."""

from __future__ import annotations

import pytest

from metallb_py.config.problems import ConfigError, Findings, Problem


def test_a_problem_says_where_and_what() -> None:
    problem = Problem(9, 'address-pools[1] "blue"', "want a prefix length up to 32")
    assert str(problem) == 'address-pools[1] "blue", line 9: want a prefix length up to 32'
    assert str(Problem(1, "", "no YAML")) == "line 1: no YAML"


def test_an_error_tells_every_problem_on_one_line() -> None:
    error = ConfigError((Problem(1, "a", "x"), Problem(2, "b", "y")))
    assert str(error) == "a, line 1: x; b, line 2: y"


def test_findings_raise_only_if_there_are_any() -> None:
    findings = Findings()
    findings.raise_if_any()
    findings.add(3, "peers[0]", "bad")
    with pytest.raises(ConfigError) as error:
        findings.raise_if_any()
    assert error.value.problems == (Problem(3, "peers[0]", "bad"),)
