"""Settings of the responder, from the speaker's flags.

Short: ``speaker.cli`` and both processes import it, without the rest of the responder.
"""

from __future__ import annotations

from dataclasses import dataclass

from speaker.responder.links import EXCLUDED


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of the responder."""

    excluded: tuple[str, ...] = EXCLUDED
    """Regular expressions; interfaces whose names match one do not answer."""
    announce_interval: float = 0.0
    """Seconds after which each owned address is announced again; 0 for never."""
    any_interface: bool = False
    """Whether every interface answers for every address, whatever its subnets (MetalLB)."""
