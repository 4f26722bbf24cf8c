"""Registration of the announcers."""

from __future__ import annotations

from metallb_py.model.config import Protocol
from metallb_py.runtime.log import Logger
from speaker.announcers.interface import Checked, Configurable, RouteAnnouncer
from speaker.announcers.registry import announcers
from speaker.cli import parse
from speaker.metrics import SpeakerMetrics


def test_every_protocol_has_an_announcer_with_its_capabilities() -> None:
    options = parse(["--node-name=node1", "--namespace=metallb-system"])
    found = announcers(options, Logger(write=[].append), SpeakerMetrics(), [].append)
    assert {protocol: capabilities(each) for protocol, each in found.items()} == {
        Protocol.LAYER2: {Checked},
        Protocol.BGP: {Configurable, RouteAnnouncer},
    }
    assert found.keys() == set(Protocol)


def capabilities(announcer: object) -> set[type]:
    """Return the optional interfaces that an announcer has."""
    return {each for each in (Checked, Configurable, RouteAnnouncer) if isinstance(announcer, each)}
