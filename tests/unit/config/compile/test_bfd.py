"""BFD profiles that can't be, in MetalLB's words."""

from __future__ import annotations

import pytest
from support.config_text import PEER, problems


def test_a_profile_that_could_not_be_read_is_not_missing() -> None:
    peers = f"peers: [{{{PEER}, bfd-profile: x}}]"
    assert len(problems(f"bfd-profiles: 5\n{peers}")) == 1
    assert len(problems(f"bfd-profiles: [{{name: [x]}}]\n{peers}")) == 1


def test_nameless_profiles_are_no_duplicates() -> None:
    assert len(problems("bfd-profiles:\n- {}\n- {}\n")) == 2


@pytest.mark.parametrize(
    ("profile", "told"),
    [
        ("", "missing bfd profile name"),
        ("name: a, detect-multiplier: 1", "invalid detect multiplier value: invalid value 1, must"),
        ("name: a, receive-interval: 9", "invalid receive interval value: invalid value 9"),
        ("name: a, transmit-interval: 60001", "must be in 10-60000 range"),
        ("name: a, minimum-ttl: 255", "invalid minimum ttl value: invalid value 255"),
        ("name: a, echo-interval: 1", "invalid value 1, must be in 10-60000 range"),
    ],
)
def test_what_is_no_bfd_profile(profile: str, told: str) -> None:
    (found,) = problems(f"bfd-profiles:\n- {{{profile}}}\n")
    assert found[2].startswith("parsing bfd profile #1: ")
    assert told in found[2]
