"""Interface name patterns."""

from __future__ import annotations

import pytest

from metallb_py.model.interfaces import matches_interface


@pytest.mark.parametrize(
    ("patterns", "name", "matches"),
    [
        ((), "eth0", True),
        (("eth0",), "eth0", True),
        (("eth",), "eth0", False),
        (("eth.",), "eth0", True),
        (("eth0",), "myeth0", False),
        (("bond.*", "ens2f[01]"), "ens2f1", True),
        (("bond.*", "ens2f[01]"), "ens2f2", False),
    ],
)
def test_interface_pattern_matches_the_whole_name(
    patterns: tuple[str, ...], name: str, matches: bool
) -> None:
    assert matches_interface(patterns, name) is matches
