"""Text form of configuration problems."""

from __future__ import annotations

from metallb_py.config.problems import ConfigError, Problem, one_line


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
