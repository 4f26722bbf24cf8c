"""Invalid BFD profiles, with MetalLB's error messages."""

from __future__ import annotations

import pytest
from support.kube.config_text import PEER, problems


def test_unparsable_bfd_profile_is_not_reported_as_missing() -> None:
    peers = f"peers: [{{{PEER}, bfd-profile: x}}]"
    assert len(problems(f"bfd-profiles: 5\n{peers}")) == 1
    assert len(problems(f"bfd-profiles: [{{name: [x]}}]\n{peers}")) == 1


def test_bfd_profiles_without_a_name_are_not_duplicates() -> None:
    assert len(problems("bfd-profiles:\n- {}\n- {}\n")) == 2


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ("", "missing bfd profile name"),
        ("name: a, detect-multiplier: 1", "invalid detect multiplier value: invalid value 1, must"),
        ("name: a, receive-interval: 9", "invalid receive interval value: invalid value 9"),
        ("name: a, transmit-interval: 60001", "must be in 10-60000 range"),
        ("name: a, minimum-ttl: 255", "invalid minimum ttl value: invalid value 255"),
        ("name: a, echo-interval: 1", "invalid value 1, must be in 10-60000 range"),
    ],
)
def test_invalid_bfd_profile_is_reported(profile: str, expected: str) -> None:
    (found,) = problems(f"bfd-profiles:\n- {{{profile}}}\n")
    assert found[2].startswith("parsing bfd profile #1: ")
    assert expected in found[2]
