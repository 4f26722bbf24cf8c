"""What the speaker can be asked for."""

from __future__ import annotations

from dataclasses import dataclass

from metallb_py.runtime.flags import CommonOptions
from speaker.layer2.settings import Settings


@dataclass(frozen=True, slots=True)
class Options:
    """What the speaker was asked for.

    ``speaker_labels`` select the pods of the other speakers, in the speaker's own namespace.
    """

    common: CommonOptions
    node_name: str
    load_balancer_class: str
    speaker_labels: str
    disable_endpoint_slices: bool
    layer2: Settings
    ignore_exclude_lb: bool = False
