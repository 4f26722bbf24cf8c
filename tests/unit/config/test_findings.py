"""Collected problems: each once, in line order, and bounded in number."""

from __future__ import annotations

import pytest

from metallb_py.config.findings import MAX_PROBLEMS, Findings
from metallb_py.config.problems import ConfigError, Problem


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
