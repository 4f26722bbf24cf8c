"""Compilation of BFD profiles, one section of the configuration, from records to the model."""

from __future__ import annotations

from collections.abc import Iterable

from metallb_py.config.findings import Findings
from metallb_py.config.yaml.schema import Record
from metallb_py.model.peers import BfdProfile

# Key -> MetalLB's words in messages, lowest and highest value.
_BFD_RANGES = {
    "detect-multiplier": ("detect multiplier", 2, 255),
    "receive-interval": ("receive interval", 10, 60000),
    "transmit-interval": ("transmit interval", 10, 60000),
    "minimum-ttl": ("minimum ttl", 1, 254),
    "echo-interval": ("echo interval", 10, 60000),
}


def compile_bfd_profiles(records: Iterable[Record], findings: Findings) -> tuple[BfdProfile, ...]:
    """Check the BFD profiles and return them, including those with problems.

    A peer may refer to a profile with problems, without a further problem of its own.
    """
    profiles: dict[str, BfdProfile] = {}
    for number, record in enumerate(records, 1):
        context = f"parsing bfd profile #{number}: "
        name = record.string("name")
        if not name and "name" not in record.failed:
            findings.add(record.line, record.path, f"{context}missing bfd profile name: want name")
        for key, (words, low, high) in _BFD_RANGES.items():
            value = record.number(key)
            if value is not None and not low <= value <= high:
                message = (
                    f"{context}invalid {words} value: invalid value {value}, "
                    f"must be in {low}-{high} range"
                )
                findings.add(record.line_of(key), record.path_of(key), message)
        if name and name in profiles:
            message = f"found duplicate bfd profile name {name}: want another name"
            findings.add(record.line_of("name"), record.path, message)
        profiles[name] = BfdProfile(
            name=name,
            receive_interval=record.number("receive-interval"),
            transmit_interval=record.number("transmit-interval"),
            detect_multiplier=record.number("detect-multiplier"),
            echo_interval=record.number("echo-interval"),
            echo_mode=record.flag("echo-mode") or False,
            passive_mode=record.flag("passive-mode") or False,
            minimum_ttl=record.number("minimum-ttl"),
        )
    return tuple(profiles.values())
