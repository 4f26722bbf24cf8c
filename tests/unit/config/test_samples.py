"""Sample configurations: each loads (test_architecture), and together they show every key.

Also the configurations of the recipes in docs/, which tests/interop/test_recipes.py runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from metallb_py.config.compile.read_config import read_config
from metallb_py.config.yaml.schema import SCHEMA

ROOT = Path(__file__).parents[3]


def keys(tree: object) -> Iterator[str]:
    """Yield every key in a tree, at any depth."""
    if isinstance(tree, dict):
        yield from tree
        for value in tree.values():
            yield from keys(value)
    elif isinstance(tree, list):
        for item in tree:
            yield from keys(item)


SHOWN = {
    key
    for path in (ROOT / "config").glob("*.yaml")
    for item in yaml.safe_load_all(path.read_text())
    if item["kind"] == "ConfigMap"
    for key in keys(yaml.safe_load(item["data"]["config"]))
}


@pytest.mark.parametrize("type_name", ["peer", "bgpAdvertisement", "passwordSecret"])
def test_every_key_is_shown_in_a_sample(type_name: str) -> None:
    assert SCHEMA[type_name].keys() <= SHOWN


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "docs" / "recipes").glob("*/speaker.yaml")),
    ids=lambda path: path.parent.name,
)
def test_recipes_load(path: Path) -> None:
    assert read_config(yaml.safe_load(path.read_text())["data"]["config"]).peers
