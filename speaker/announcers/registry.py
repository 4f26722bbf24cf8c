"""Registration of the announcers: a new protocol's announcer is added here, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from metallb_py.model.config import Protocol
from metallb_py.runtime.log import Logger
from speaker.announcers.bgp import bgp_announcer
from speaker.announcers.interface import Announcer
from speaker.announcers.layer2 import Layer2Announcer, LinkEvent
from speaker.metrics import SpeakerMetrics
from speaker.options import Options
from speaker.responder.io.client import Responder


def announcers(
    options: Options,
    log: Logger,
    metrics: SpeakerMetrics,
    on_link_event: Callable[[LinkEvent], None],
) -> Mapping[Protocol, Announcer]:
    """Return the announcer of each protocol, with its drivers. Nothing runs yet."""
    return {
        Protocol.LAYER2: Layer2Announcer(Responder(options.layer2), log, metrics, on_link_event),
        Protocol.BGP: bgp_announcer(
            options.node_name,
            log,
            metrics,
            drain_time=options.drain_time,
            listen=options.bgp_listen,
        ),
    }
