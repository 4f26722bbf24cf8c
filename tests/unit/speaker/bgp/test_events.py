"""Events of BGP sessions: their peer, and the secrecy of its password."""

from __future__ import annotations

import dataclasses
import typing
from ipaddress import ip_address

import pytest

from metallb_py.model.peers import SessionParameters
from speaker.bgp.events import BgpEvent

PEER = SessionParameters(64512, 64513, ip_address("10.0.0.2"), password="s3cret")


@pytest.mark.parametrize("kind", typing.get_args(BgpEvent), ids=lambda kind: kind.__name__)
def test_an_event_names_its_peer_and_hides_its_password(kind: type) -> None:
    names = [field.name for field in dataclasses.fields(kind)]
    event = kind(PEER, *names[1:])

    assert names[0] == "peer"
    assert event == kind(PEER, *names[1:])
    assert "s3cret" not in repr(event)
