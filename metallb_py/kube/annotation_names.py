"""Annotations of Services that nearly are MetalLB's, and so have no effect."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher, get_close_matches
from functools import lru_cache

PREFIXES = ("metallb.universe.tf", "metallb.io")
ASKED_FOR = ("address-pool", "allow-shared-ip", "loadBalancerIPs")
"""What a Service's owner writes."""
# What MetalLB and these daemons write, or wrote; and MetalLB's labels, which tools copy.
_WRITTEN = (
    "ip-allocated-from-pool",
    "component-type",
    "node",
    "node-name",
    "service-name",
    "service-namespace",
)
_KNOWN = frozenset({*ASKED_FOR, *_WRITTEN})
_SAME_NAME, _SAME_PREFIX = 0.75, 0.8  # of 1 for equal ones
_MAX_KEY = 317  # what kube-apiserver takes: a prefix, a slash, a name
_SEPARATORS = re.compile(r"[-_. ]")


@dataclass(frozen=True, slots=True)
class NearMiss:
    """An annotation that has no effect, and the one that was most likely meant."""

    found: str
    wanted: str

    def __str__(self) -> str:
        return f'annotation "{self.found}" has no effect: want "{self.wanted}"'


def near_misses(annotations: Iterable[str]) -> tuple[NearMiss, ...]:
    """Return those of the annotations' names that nearly are MetalLB's, in order."""
    found = ((name, meant_by(name)) for name in sorted(annotations))
    return tuple(NearMiss(name, wanted) for name, wanted in found if wanted)


@lru_cache(maxsize=4096)
def meant_by(annotation: str) -> str:
    """Return MetalLB's annotation that another one nearly is; nothing where it is near to none.

    The names of other projects (``kube-vip.io/loadbalancerIPs``) are near to none: their prefix
    is another.
    """
    prefix, slash, name = annotation[:_MAX_KEY].rpartition("/")
    if prefix in PREFIXES and name in _KNOWN:
        return ""
    wanted = _closest_name(name, exactly=not slash)
    base = _closest_prefix(prefix) if slash else PREFIXES[0]
    return f"{base}/{wanted}" if wanted and base else ""


def _closest_name(name: str, *, exactly: bool) -> str:
    plain = {_plain(known): known for known in ASKED_FOR}
    if exactly:
        return plain.get(_plain(name), "")
    close = get_close_matches(_plain(name), plain, 1, _SAME_NAME)
    return plain[close[0]] if close else ""


def _closest_prefix(prefix: str) -> str:
    given = prefix.casefold()
    if given in PREFIXES:
        return given
    ratios = {each: SequenceMatcher(None, given, each).ratio() for each in PREFIXES}
    best = max(PREFIXES, key=lambda each: ratios[each])
    if ratios[best] >= _SAME_PREFIX or "metallb" in given:
        return best
    return ""


def _plain(name: str) -> str:
    return _SEPARATORS.sub("", name.casefold())
