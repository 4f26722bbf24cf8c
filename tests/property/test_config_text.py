"""No text, however made, does anything but become a model or raise the one documented error."""

from __future__ import annotations

from pathlib import Path

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from metallb_py.config.compile import read_config
from metallb_py.config.configmap import SCHEMA
from metallb_py.config.problems import ConfigError, Problem

SAMPLES = [
    item["data"]["config"]
    for path in sorted((Path(__file__).parents[2] / "config").glob("*.yaml"))
    for item in yaml.safe_load_all(path.read_text())
    if item["kind"] == "ConfigMap"
]
KEYS = sorted({key for fields in SCHEMA.values() for key in fields})
WORDS = ["layer2", "bgp", "10.0.0.0/24", "10.0.0.1-10.0.0.9", "fd00::/64", "64512:1", "90s", "In"]

leaves = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS) | st.text()
)
trees = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=6)
    ),
    max_leaves=25,
)


def reads(text: str) -> None:
    problems: tuple[Problem, ...] | None = None
    try:
        read_config(text)
    except ConfigError as error:
        problems = error.problems
    assert problems is None or (problems and all(p.message and p.line >= 1 for p in problems))


@given(st.text())
@example("a: !!int x")
@example("? ")
@example("%YAML 9")
@example("\ufeff")
@example("!<tag:yaml.org,2002:binary> x")
def test_any_text(text: str) -> None:
    reads(text)


@given(st.binary())
def test_any_bytes_that_are_text(data: bytes) -> None:
    reads(data.decode("latin-1"))


@given(trees)
def test_any_tree(tree: object) -> None:
    reads(yaml.safe_dump(tree, allow_unicode=True))


@given(st.sampled_from(SAMPLES), st.data())
def test_mutated_samples(text: str, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 12)))
        text = text[:start] + data.draw(st.text(max_size=6)) + text[end:]
    reads(text)
