"""Stored states that no controller wrote, in every form that the API server accepts."""

from __future__ import annotations

import base64
import zlib
from hashlib import sha256

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.kube.config_states import state_objects

from metallb_py.kube.config_state import StateError, StateNames, Stored, decode, write_steps
from metallb_py.kube.configmap import ConfigReader
from metallb_py.kube.objects import ConfigMap, ObjectMeta

NAMES = StateNames("metallb-system", "config")
GOOD = "address-pools: [{name: a, protocol: layer2, addresses: [192.0.2.0/30]}]"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)
fields = st.sampled_from(["configmap", "text", "draining", "refused", "x"])
payloads = st.dictionaries(fields, json_values | st.just("metallb-system/config")).map(
    msgspec.json.encode
)
contents = st.one_of(
    st.binary(max_size=50),
    payloads,
    payloads.map(zlib.compress),
    payloads.map(zlib.compress).flatmap(lambda b: st.integers(0, len(b)).map(lambda n: b[:n])),
)


@st.composite
def hostile(draw: st.DrawFn) -> dict[str, ConfigMap]:
    found = {}
    for name in draw(st.sets(st.sampled_from(sorted(NAMES.all)), min_size=1)) | {NAMES.index}:
        content = draw(contents)
        data = draw(
            st.dictionaries(
                st.sampled_from(["format", "sha256", "parts", "set"]),
                st.text(max_size=5) | st.sampled_from(["1", "2", "a", "b", "-1"]),
            )
        )
        if draw(st.booleans()):
            data |= {"format": "1", "sha256": sha256(content).hexdigest()}
        binary = draw(
            st.none()
            | st.just({})
            | st.just({"state": base64.b64encode(content).decode()})
            | st.text(max_size=9).map(lambda text: {"state": text})
        )
        found[name] = ConfigMap(ObjectMeta(name, "metallb-system"), data, binary)
    return found


@settings(max_examples=1000, deadline=None)
@given(hostile())
def test_stored_state_of_any_content_is_decoded_or_named_in_an_error(
    objects: dict[str, ConfigMap],
) -> None:
    try:
        stored = decode(NAMES, objects)
    except StateError as error:
        message = str(error)
        assert message.isprintable()
        assert "config-state" in message
        assert len(message) < 1500
    else:
        assert stored is not None
    # A daemon continues with the valid configuration, and a writer repairs the objects.
    reader = ConfigReader("metallb-system", "config")
    for name, item in objects.items():
        reader.state_changed(name, item)
    reader.configmap_changed(ConfigMap(ObjectMeta("config", "metallb-system"), {"config": GOOD}))
    reader.configmap_synced()
    reader.state_synced()
    inputs = reader.next()
    assert inputs is not None
    config = inputs.read().in_force()
    assert config is not None
    assert config.pools[0].name == "a"
    repaired = state_objects(NAMES, Stored(GOOD), objects)
    assert repaired.keys() == {NAMES.index}
    assert decode(NAMES, repaired) == Stored(GOOD)


def test_text_that_utf_8_cannot_encode_is_an_error() -> None:
    with pytest.raises(StateError, match="UTF-8"):
        write_steps(NAMES, {}, Stored("\ud800"))
