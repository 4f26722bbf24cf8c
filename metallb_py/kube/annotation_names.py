"""Names of MetalLB's annotations, and detection of misspelled ones, which have no effect."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher, get_close_matches
from functools import lru_cache

PREFIX = "metallb.universe.tf"
"""Prefix of MetalLB 0.12, and of everything that these daemons write."""
LATER_PREFIX = "metallb.io"
"""Prefix that MetalLB 0.14.9 prefers; it still honours the first."""
PREFIXES = (PREFIX, LATER_PREFIX)
REQUEST_ANNOTATIONS = ("address-pool", "allow-shared-ip", "loadBalancerIPs")
"""Annotations that the owner of a Service sets."""
# Written by MetalLB or these daemons, now or earlier; and MetalLB's labels, which tools copy.
_WRITTEN = (
    "ip-allocated-from-pool",
    "component-type",
    "node",
    "node-name",
    "service-name",
    "service-namespace",
)
_KNOWN = frozenset({*REQUEST_ANNOTATIONS, *_WRITTEN})
_SAME_NAME, _SAME_PREFIX = 0.75, 0.8  # least similarity; 1 for equal strings
_MAX_KEY = 317  # longest key that kube-apiserver accepts: a prefix, a slash, a name
_SEPARATORS = re.compile(r"[-_. ]")


@dataclass(frozen=True, slots=True)
class NearMiss:
    """An annotation without effect, and the MetalLB annotation that was most likely intended."""

    found: str
    wanted: str

    def __str__(self) -> str:
        return f'annotation "{self.found}" has no effect: want "{self.wanted}"'


def near_misses(annotations: Iterable[str]) -> tuple[NearMiss, ...]:
    """Return the annotation names that nearly are MetalLB's, sorted by name."""
    found = ((name, intended_annotation(name)) for name in sorted(annotations))
    return tuple(NearMiss(name, wanted) for name, wanted in found if wanted)


@lru_cache(maxsize=4096)
def intended_annotation(annotation: str) -> str:
    """Return the MetalLB annotation that a name resembles; empty for MetalLB's own and for others.

    The names of other projects (``kube-vip.io/loadbalancerIPs``) resemble none, because their
    prefix differs.
    """
    prefix, slash, name = annotation[:_MAX_KEY].rpartition("/")
    if prefix in PREFIXES and name in _KNOWN:
        return ""
    wanted = _closest_name(name, exactly=not slash)
    base = _closest_prefix(prefix) if slash else PREFIX
    return f"{base}/{wanted}" if wanted and base else ""


def _closest_name(name: str, *, exactly: bool) -> str:
    plain = {_plain(known): known for known in REQUEST_ANNOTATIONS}
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
