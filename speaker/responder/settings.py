"""What the operator can choose about layer 2, apart from the configuration."""

from __future__ import annotations

from dataclasses import dataclass

from speaker.responder.links import EXCLUDED


@dataclass(frozen=True, slots=True)
class Settings:
    """How the responder works.

    ``excluded`` are regular expressions: interfaces in whose names one is found do not answer.
    ``announce_interval`` is how often each owned address is announced again, in seconds; 0 is
    never. With ``any_interface`` every interface answers for every address, be it on its subnet
    or not (MetalLB).
    """

    excluded: tuple[str, ...] = EXCLUDED
    announce_interval: float = 0.0
    any_interface: bool = False
