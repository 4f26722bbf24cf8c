"""The stored configuration state as ConfigMap objects."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

import msgspec

from metallb_py.kube.config_state import Delete, Put, StateNames, Stored, write_steps
from metallb_py.kube.objects import ConfigMap


def state_objects(
    names: StateNames, stored: Stored | None, objects: Mapping[str, ConfigMap] | None = None
) -> dict[str, ConfigMap]:
    """Return the objects after a state was written over ``objects``."""
    found = dict(objects or {})
    for step in write_steps(names, found, stored):
        match step:
            case Put(name, body):
                found[name] = msgspec.json.decode(msgspec.json.encode(body), type=ConfigMap)
            case Delete(name):
                del found[name]
    return found


def incompressible(size: int, seed: int) -> Stored:
    """Return a state whose text has about ``size`` bytes and hardly compresses."""
    alphabet = "".join(map(chr, range(0x4E00, 0x8E00)))
    return Stored("".join(Random(seed).choices(alphabet, k=size // 3)))


LARGE = incompressible(1_500_000, 1)
OTHER_LARGE = incompressible(1_500_000, 2)
