"""Invalid label selectors, with MetalLB's error messages."""

from __future__ import annotations

import pytest
from support.kube.config_text import PEER, problems

BAD_SELECTORS = [
    (f"{PEER}, node-selectors: [match-labels: {{a..b/c: d}}]", 'key: "a..b/c"'),
    (f"{PEER}, node-selectors: [match-labels: {{/c: d}}]", 'key: "/c"'),
    (
        f"{PEER}, node-selectors: [{{match-expressions: [{{key: a, operator: in}}]}}]",
        'parsing node selector: "in" is not a valid pod selector operator',
    ),
    (
        f"{PEER}, node-selectors: [{{match-expressions: [{{key: a, operator: In}}]}}]",
        "for 'in', 'notin' operators, values set can't be empty",
    ),
    (
        f"{PEER}, node-selectors: [match-expressions: [{{key: a, operator: Exists, values: [b]}}]]",
        "values set must be empty for exists and does not exist",
    ),
    (f"{PEER}, node-selectors: [{{match-labels: {{'a b': c}}}}]", 'key: "a b"'),
    (f"{PEER}, node-selectors: [{{match-labels: {{a: b c}}}}]", 'values: "b c"'),
]


@pytest.mark.parametrize(("peer", "expected"), BAD_SELECTORS)
def test_invalid_node_selector_is_reported(peer: str, expected: str) -> None:
    (found,) = problems(f"peers:\n- {{{peer}}}\n")
    assert expected in found[2]
    assert found[0] == 2
    assert ".node-selectors[0]" in found[1]


def test_password_misplaced_among_the_labels_is_not_printed() -> None:
    selector = "{match-labels: {password: s3cret!}}"
    text = f"peers:\n- {{{PEER}, node-selectors: [{selector}]}}"
    ((_, path, message),) = problems(text)
    assert path.endswith(".node-selectors[0].match-labels.password")
    assert "password: found where labels belong" in message
