"""Messages that FRR, BIRD, GoBGP and ExaBGP sent each other, as we and as tshark read them.

Each vector has the sender, the message after its marker, and tshark's fields. These say of an
End-of-RIB nothing, and of an attribute's meaning no more than its value.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from metallb_py.protocols.bgp.codec.capabilities import (
    Capability,
    ExtendedNextHop,
    FourOctetAsn,
    GracefulRestart,
    Hostname,
    Multiprotocol,
    OtherCapability,
    encode_capabilities,
)
from metallb_py.protocols.bgp.codec.framing import MARKER, FrameReader
from metallb_py.protocols.bgp.codec.messages import (
    Keepalive,
    Message,
    Notification,
    Open,
    Refresh,
    decode,
    encode,
)
from metallb_py.protocols.bgp.codec.update import Update

Facts = dict[str, list[str]]

FILE = Path(__file__).parents[3] / "vectors" / "bgp.json"
VECTORS = json.loads(FILE.read_text())
NAMED = [
    pytest.param(vector["hex"], vector["tshark"], id=f"{vector['from']}-{number}")
    for number, vector in enumerate(VECTORS)
]


def understood(wire: str) -> Message:
    reader = FrameReader()
    reader.feed(MARKER + bytes.fromhex(wire))
    frame = reader.next_frame()
    assert frame is not None
    return decode(frame)


def texts(*values: object) -> list[str]:
    """Write numbers as tshark does; flags are numbers there."""
    return [str(int(value)) if isinstance(value, int) else str(value) for value in values]


def facts(message: Message) -> Facts:
    """Say of a message what tshark would, as far as it has any of it."""
    match message:
        case Open():
            told = {
                "type": texts(1),
                "my_as": texts(message.my_as),
                "hold_time": texts(message.hold_time),
                "router_id": texts(message.router_id),
                "capabilities": texts(
                    *(encode_capabilities((one,))[0] for one in message.capabilities)
                ),
            }
            for capability in message.capabilities:
                for key, values in facts_of_capability(capability):
                    told[key] = told.get(key, []) + values
        case Update():
            told = {"type": texts(2)} | facts_of_update(message)
        case Notification(code, subcode):
            told = {"type": texts(3), "error_code": texts(code), "cease": texts(subcode)}
            told["text"] = [str(message).split('"')[1]] if message.data else []
        case Keepalive():
            told = {"type": texts(4)}
        case Refresh(family, kind, subsequent):
            told = {
                "type": texts(5),
                "refresh_family": texts(family),
                "refresh_kind": texts(kind),
                "refresh_subsequent": texts(subsequent),
            }
    return {key: values for key, values in told.items() if values}


def facts_of_capability(capability: Capability) -> Iterator[tuple[str, list[str]]]:
    match capability:
        case Multiprotocol(family):
            yield "families", texts(family)
        case OtherCapability(1, value):
            yield "families", texts(int.from_bytes(value[:2]))
        case FourOctetAsn(asn):
            yield "asn", texts(asn)
        case ExtendedNextHop(encodings):
            yield "next_hop_families", texts(*(one.next_hop for one in encodings))
        case GracefulRestart(time, restarting, notifications, families):
            yield "restart_time", texts(time)
            yield "restarting", texts(restarting)
            yield "restart_notifications", texts(notifications)
            yield "restart_families", texts(*(one.family for one in families))
            yield "forwarding", texts(*(one.forwarding for one in families))
        case Hostname(host, domain):
            yield "hostname", [host]
            yield "domain", [domain] if domain else []


def facts_of_update(update: Update) -> Facts:
    assert not update.malformed
    reached = [prefix for reach in update.reach for prefix in reach.prefixes]
    everything = (*update.withdrawn, *reached)
    told = {
        "withdrawn": sorted(texts(*(prefix.network_address for prefix in update.withdrawn))),
        "reached": sorted(texts(*(prefix.network_address for prefix in reached))),
        "prefix_lengths": sorted(texts(*(prefix.prefixlen for prefix in everything))),
        "next_hop": texts(*(ip_address(reach.next_hop) for reach in update.reach)),
    }
    if (said := update.attributes) is not None:
        told |= {
            "origin": texts(said.origin),
            "as_path": texts(*(asn for segment in said.as_path for asn in segment.asns)),
            "med": texts(*(() if said.med is None else (said.med,))),
            "local_pref": texts(*(() if said.local_pref is None else (said.local_pref,))),
            "communities": sorted(texts(*said.communities)),
            "large_communities": texts(*(n for one in said.large_communities for n in one)),
        }
        if said.link_bandwidth is not None:
            told["link_bandwidth"] = [f"{said.link_bandwidth.bytes_per_second:g}"]
    return told


def as_ours(tshark: Facts) -> Facts:
    """Put together what tshark keeps apart, by where in the message or by which kind it is."""
    told = dict(tshark)

    def taken(*keys: str) -> list[str]:
        return [value for key in keys for value in told.pop(key, [])]

    told["withdrawn"] = sorted(taken("withdrawn", "mp_unreach_ipv4", "mp_unreach_ipv6"))
    told["reached"] = sorted(taken("nlri", "mp_reach_ipv4", "mp_reach_ipv6"))
    told["prefix_lengths"] = sorted(taken("prefix_lengths"))
    told["next_hop"] = texts(*map(ip_address, taken("next_hop", "mp_next_hop")))
    halves = zip(taken("community_as"), taken("community_value"), strict=True)
    known = [int(value, 16) for value in taken("community_wellknown")]
    numbers = [*known, *(int(high) << 16 | int(low) for high, low in halves)]
    told["communities"] = sorted(texts(*numbers))
    parts = (taken(key) for key in ("large_global", "large_first", "large_second"))
    told["large_communities"] = [n for one in zip(*parts, strict=True) for n in one]
    return {key: values for key, values in told.items() if values}


@pytest.mark.parametrize(("wire", "tshark"), NAMED)
def test_we_read_what_tshark_reads(wire: str, tshark: Facts) -> None:
    assert facts(understood(wire)) == as_ours(tshark)


@pytest.mark.parametrize(("wire", "tshark"), NAMED)
def test_what_we_read_we_can_write(wire: str, tshark: Facts) -> None:
    message = understood(wire)

    assert understood(encode(message)[len(MARKER) :].hex()) == message
    assert encode(message)[18] == int(tshark["type"][0])


def test_an_update_without_prefixes_is_an_end_of_rib() -> None:
    messages = [understood(v["hex"]) for v in VECTORS if "prefix_lengths" not in v["tshark"]]
    ends = [message.end_of_rib for message in messages if isinstance(message, Update)]

    # One of them is in an attribute of extended length.
    assert sorted(map(str, ends)) == ["1", "2", "2"]
