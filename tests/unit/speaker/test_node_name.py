"""Problem of a speaker's node name that no Node object has."""

from __future__ import annotations

import pytest

from speaker.node_name import node_name_problem

NODES = ("node1", "node2", "worker-3.example.com", "x4")


def test_the_name_of_a_node_is_accepted() -> None:
    assert node_name_problem("node2", NODES) == ""


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("nod1", 'did you mean "node1"'),
        ("NODE2", 'did you mean "node2"?'),
        ("node1.example.com", 'did you mean "node1"?'),
        ("worker-3", 'did you mean "worker-3.example.com"?'),
        ("something", 'there are 4: "node1", "node2", "worker-3.example.com" ...'),
        ("", "there are 4: "),
    ],
)
def test_the_problem_names_the_value_and_the_nodes(name: str, hint: str) -> None:
    problem = node_name_problem(name, NODES)
    assert f'no Node has the name "{name}" (--node-name, METALLB_NODE_NAME)' in problem
    assert hint in problem


def test_a_cluster_without_nodes() -> None:
    assert node_name_problem("a", ()).endswith("there are 0: none")
