"""Status of the configuration, as shown on the operator's ConfigMap."""

from __future__ import annotations

import json

import pytest

from metallb_py.config.problems import Problem
from metallb_py.kube.config_status import (
    LIMIT,
    TIGHT_LIMIT,
    ConfigStatus,
    in_brief,
    limit_beside,
)
from metallb_py.kube.configmap import DRAINING, LAST_GOOD, STATUS, ParsedConfig, read

GOOD = "address-pools: [{name: a, protocol: layer2, addresses: [10.0.0.0/24]}]"
OTHER = "address-pools: [{name: b, protocol: layer2, addresses: [10.1.0.0/24]}]"
BAD = "address-pools: [{name: a}]"


def shown(
    in_force: ParsedConfig | None, latest: ParsedConfig | None, refusal: tuple[str, ...] = ()
) -> dict[str, object]:
    found: dict[str, object] = json.loads(ConfigStatus(in_force, latest, refusal).text("now"))
    return found


def test_status_has_the_version_in_force_and_the_problems() -> None:
    good, bad = read(GOOD), read(BAD)
    found = shown(good, bad)
    assert found["state"] == "refused"
    assert found["inForce"] == good.version
    assert found["latest"] == bad.version
    assert len(bad.problems) == 2
    assert found["problems"] == [str(problem) for problem in bad.problems]
    assert found["problemsTotal"] == 2
    assert found["time"] == "now"
    found = shown(good, good)
    assert (found["state"], found["problems"]) == ("applied", [])
    found = shown(good, read(OTHER))
    assert (found["state"], found["problems"]) == ("pending", [])
    found = shown(good, read(OTHER), ("in the way",))
    assert (found["state"], found["problems"]) == ("refused", ["in the way"])


def test_status_has_the_error_of_storing_the_state() -> None:
    text = ConfigStatus(read(GOOD), read(GOOD), storage_error="403 Forbidden\n" * 100).text("now")
    found = json.loads(text)
    assert found["stateNotStored"].startswith("403 Forbidden\\n")
    assert len(text) < 1000


@pytest.mark.parametrize("limit", [LIMIT, TIGHT_LIMIT])
@pytest.mark.parametrize("message", ["short", "x" * 600, "\u4e2d" * 600, '"' * 600, "\ud800" * 9])
@pytest.mark.parametrize("count", [1, 2, 1000])
def test_all_problems_are_counted_and_the_first_are_shown(
    limit: int, message: str, count: int
) -> None:
    bad = ParsedConfig("x", problems=tuple(Problem(n, "", message) for n in range(1, count + 1)))
    text = ConfigStatus(read(GOOD), bad).text("2026-01-01T00:00:00Z", limit)
    assert len(text.encode()) <= limit
    found = json.loads(text)
    assert found["problemsTotal"] == count
    assert found["problems"]
    assert found["problems"][0].startswith("line 1: ")
    if count == 1000:
        assert len(text.encode()) > limit / 3, "the limit is made use of"


def test_status_is_short_beside_large_annotations_of_the_operator() -> None:
    assert limit_beside({}) == LIMIT
    assert limit_beside({"kubectl.kubernetes.io/last-applied-configuration": "x" * 140_000}) == (
        TIGHT_LIMIT
    )
    ours = {STATUS: "x" * 140_000, LAST_GOOD: "x" * 140_000, DRAINING: "x" * 140_000}
    assert limit_beside(ours) == LIMIT


def test_log_line_has_the_first_problems_and_the_number_of_others() -> None:
    assert in_brief(["a", "b"]) == "a; b"
    text = in_brief(f"line {n}: {'x' * 200}" for n in range(1000))
    assert len(text) < LIMIT + 100
    assert text.startswith("line 0: xxx")
    shown = text.count("line ")
    assert text.endswith(f"; and {1000 - shown} more problems")
