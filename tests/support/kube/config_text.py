"""Configuration fragments, the problems of a configuration text, and the work to read it."""

from __future__ import annotations

from collections.abc import Callable
from cProfile import Profile
from textwrap import dedent

from metallb_py.config.compile.read_config import read_config
from metallb_py.config.problems import ConfigError

PEER = "my-asn: 1, peer-asn: 2, peer-address: 10.0.0.1"
POOL = "name: a, protocol: layer2, addresses: [10.0.0.0/24]"
BGP = "name: a, protocol: bgp, addresses: [10.0.0.0/28]"


def problems(text: str) -> list[tuple[int, str, str]]:
    """Return the problems of a text as line, path and message; empty if it is valid."""
    try:
        read_config(dedent(text))
    except ConfigError as error:
        return [(p.line, p.path, p.message) for p in error.problems]
    return []


def calls(work: Callable[[], object]) -> int:
    """Return the number of function calls that ``work`` makes, those of C functions included."""
    profile = Profile()
    profile.runcall(work)
    return sum(entry.callcount for entry in profile.getstats())
