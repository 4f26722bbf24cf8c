"""Any text decodes to draining pools or raises the one documented error."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from metallb_py.config.draining import decode_pools, encode_pools
from metallb_py.config.problems import ConfigError
from metallb_py.model.config import Pool

KEYS = [
    *("name", "protocol", "cidrs", "advertisements", "interfaces", "node_selectors"),
    *("aggregation_length", "aggregation_length_v6", "local_pref", "communities", "peers", "med"),
    *("large_communities", "as_path_prepend", "weight_by_endpoints", "key", "operator", "values"),
]
ADVERTISEMENT = {
    "aggregation_length": 32,
    "aggregation_length_v6": 128,
    "local_pref": 0,
    "communities": [1],
}
POOL = {"name": "a", "protocol": "bgp", "cidrs": ["10.0.0.0/24"], "advertisements": []}

leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["bgp", "In", "10.0.0.0/24", "fd00::/64"])
    | st.text(max_size=8)
)
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=20,
)


def decode(text: str) -> tuple[Pool, ...]:
    try:
        return decode_pools(text)
    except ConfigError:
        return ()


@given(st.text())
def test_any_text_decodes_or_raises_config_error(text: str) -> None:
    decode(text)


@given(trees)
def test_any_json_tree_decodes_or_raises_config_error(tree: object) -> None:
    decode(json.dumps(tree))


@given(
    st.dictionaries(st.sampled_from(KEYS), trees),
    st.dictionaries(st.sampled_from(KEYS), leaves),
    st.integers(0, 3),
)
def test_damaged_records_of_draining_pools_decode_or_raise_config_error(
    pool: dict[str, object], advertisement: dict[str, object], times: int
) -> None:
    tree = [POOL | {"advertisements": [ADVERTISEMENT | advertisement] * times} | pool] * times
    pools = decode(json.dumps(tree))
    assert decode(encode_pools(pools)) == pools
