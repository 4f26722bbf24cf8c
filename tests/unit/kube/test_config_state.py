"""Stored state of the configuration, as objects."""

from __future__ import annotations

import base64
import json
import zlib
from hashlib import sha256

import pytest
from support.kube.config_states import LARGE, OTHER_LARGE, incompressible, state_objects

from metallb_py.kube.config_state import (
    MAX_PARTS,
    MAX_PLAIN_BYTES,
    PART_BYTES,
    Delete,
    Put,
    StateError,
    StateNames,
    Stored,
    decode,
    is_clean,
    write_steps,
)
from metallb_py.kube.objects import ConfigMap, ObjectMeta

NAMES = StateNames("metallb-system", "config")
SMALL = Stored("address-pools: []", "[]", "abc")


@pytest.mark.parametrize("stored", [SMALL, Stored(None), Stored(""), LARGE])
def test_written_state_decodes_to_the_same(stored: Stored) -> None:
    objects = state_objects(NAMES, stored)
    assert decode(NAMES, objects) == stored
    assert is_clean(NAMES, objects)
    assert set(objects) <= NAMES.all
    for item in objects.values():
        content = (item.binary_data or {})["state"] if item.binary_data else ""
        assert len(base64.b64decode(content)) + len(str(item.data)) < 1024 * 1024


def test_a_text_of_300_kilobytes_fits_into_one_object() -> None:
    pool = "- {name: pool-%05d, protocol: bgp, addresses: [10.%d.%d.0/24]}\n"
    text = "address-pools:\n" + "".join(pool % (n, n // 256, n % 256) for n in range(5000))
    assert len(text) > 300_000
    (index,) = state_objects(NAMES, Stored(text)).values()
    assert len(str(index.binary_data)) < 100_000
    assert decode(NAMES, {NAMES.index: index}) == Stored(text)


def test_no_objects_decode_to_no_state() -> None:
    assert decode(NAMES, {}) is None
    assert state_objects(NAMES, None, state_objects(NAMES, LARGE)) == {}


def test_interrupted_write_leaves_the_previous_state_intact() -> None:
    before = state_objects(NAMES, LARGE)
    after = state_objects(NAMES, OTHER_LARGE, before)
    steps = write_steps(NAMES, before, OTHER_LARGE)
    names = [step.name for step in steps]
    assert names.index(NAMES.index) == sum(isinstance(step, Put) for step in steps) - 1
    assert isinstance(steps[-1], Delete)
    for end in range(len(steps) + 1):
        objects = dict(before)
        for step in steps[:end]:
            match step:
                case Put(name, _):
                    objects[name] = after[name]
                case Delete(name):
                    del objects[name]
        wanted = OTHER_LARGE if end > names.index(NAMES.index) else LARGE
        assert decode(NAMES, objects) == wanted
        rewritten = state_objects(NAMES, SMALL, objects)
        assert decode(NAMES, rewritten) == SMALL, "the next write succeeds"
        assert rewritten.keys() == {NAMES.index}


def test_state_that_is_too_large_is_not_written() -> None:
    with pytest.raises(StateError, match="want at most"):
        write_steps(NAMES, {}, incompressible(MAX_PARTS * PART_BYTES * 2, 3))
    with pytest.raises(StateError, match="want at most"):
        write_steps(NAMES, {}, Stored("x" * MAX_PLAIN_BYTES))


def index(content: bytes | str, **data: str) -> dict[str, ConfigMap]:
    raw = content.encode() if isinstance(content, str) else base64.b64encode(content)
    packed = b"" if isinstance(content, str) else content
    digest = {"format": "1", "sha256": sha256(packed).hexdigest()}
    meta = ObjectMeta(NAMES.index, "metallb-system")
    item = ConfigMap(meta, {**digest, **data}, {"state": raw.decode()})
    return {NAMES.index: item}


def packed(value: object) -> bytes:
    return zlib.compress(json.dumps(value).encode())


BOMB = zlib.compress(b'{"configmap": "' + b" " * (MAX_PLAIN_BYTES * 4))
DEEP = zlib.compress(b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}")


@pytest.mark.parametrize(
    ("objects", "wanted"),
    [
        (index("not base64!"), "want base64"),
        (index(b"not zlib"), "want zlib"),
        (index(zlib.compress(b"x" * 100)[:-5]), "want at most"),
        (index(BOMB), "want at most"),
        (index(DEEP), "want a state"),
        (index(packed([])), "want a state"),
        (index(packed({"configmap": 1, "text": ""})), "want a state"),
        (index(packed({"configmap": NAMES.key, "text": 7})), "want a state"),
        (index(zlib.compress(b'{"configmap": "\xff"}')), "want a state"),
        (index(packed({"configmap": "other/config", "text": ""})), 'want "metallb-system/config"'),
        (index(b"", sha256="0"), "config-state"),
        (index(b"", format="2" * 500), 'want "1"'),
        (index(b"", parts="9", set="a"), 'parts "9" of set "a"'),
        (index(b"", parts="-1", set="a"), 'parts "-1"'),
        (index(b"", parts="\u0661", set="a"), "parts"),
        (index(b"", parts="1", set="c"), 'set "c"'),
        (index(b"", parts="2", set="a"), "config-state-a-0: not found"),
        ({NAMES.index: ConfigMap(ObjectMeta(NAMES.index))}, 'want "1"'),
    ],
)
def test_damaged_or_foreign_state_is_an_error_that_names_it(
    objects: dict[str, ConfigMap], wanted: str
) -> None:
    with pytest.raises(StateError) as caught:
        decode(NAMES, objects)
    assert wanted in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_parts_of_two_writes_are_not_joined() -> None:
    objects = state_objects(NAMES, LARGE)
    other = state_objects(NAMES, OTHER_LARGE)
    with pytest.raises(StateError, match="another write"):
        decode(NAMES, {**objects, NAMES.part("a", 1): other[NAMES.part("a", 1)]})


def test_configmap_name_too_long_for_a_label_is_hashed() -> None:
    names = StateNames("ns", "x" * 64)
    assert len(names.label) == 32
    (item,) = state_objects(names, SMALL).values()
    assert (item.metadata.labels or {})["metallb.universe.tf/config-state"] == names.label
