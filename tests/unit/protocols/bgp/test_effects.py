from __future__ import annotations

import dataclasses
import typing

import pytest

from metallb_py.protocols.bgp import effects


@pytest.mark.parametrize("kind", typing.get_args(effects.Effect), ids=lambda kind: kind.__name__)
def test_an_effect_is_a_value(kind: type) -> None:
    arguments = [field.name for field in dataclasses.fields(kind)]
    one, other = kind(*arguments), kind(*arguments)

    assert one == other
    assert hash(one) == hash(other)
    assert not hasattr(one, "__dict__")
