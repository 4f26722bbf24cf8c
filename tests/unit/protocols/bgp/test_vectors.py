"""Messages captured between FRR, BIRD, GoBGP and ExaBGP, compared with the decoding of tshark.

Each vector has the sender, the message after its marker, and tshark's fields. tshark has no field
for an End-of-RIB, and of an attribute only its value.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from metallb_py.model.peers import Origin
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


def decoded(wire: str) -> Message:
    reader = FrameReader()
    reader.feed(MARKER + bytes.fromhex(wire))
    frame = reader.next_frame()
    assert frame is not None
    return decode(frame)


def texts(*values: object) -> list[str]:
    """Format numbers as tshark does; flags are numbers there."""
    return [str(int(value)) if isinstance(value, int) else str(value) for value in values]


def facts(message: Message) -> Facts:
    """Return the fields of a message in the form of tshark, those it has."""
    match message:
        case Open():
            fields = {
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
                    fields[key] = fields.get(key, []) + values
        case Update():
            fields = {"type": texts(2)} | facts_of_update(message)
        case Notification(code, subcode):
            fields = {"type": texts(3), "error_code": texts(code), "cease": texts(subcode)}
            fields["text"] = [str(message).split('"')[1]] if message.data else []
        case Keepalive():
            fields = {"type": texts(4)}
        case Refresh(family, kind, subsequent):
            fields = {
                "type": texts(5),
                "refresh_family": texts(family),
                "refresh_kind": texts(kind),
                "refresh_subsequent": texts(subsequent),
            }
    return {key: values for key, values in fields.items() if values}


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
    fields = {
        "withdrawn": sorted(texts(*(prefix.network_address for prefix in update.withdrawn))),
        "reached": sorted(texts(*(prefix.network_address for prefix in reached))),
        "prefix_lengths": sorted(texts(*(prefix.prefixlen for prefix in everything))),
        "next_hop": texts(*(ip_address(reach.next_hop) for reach in update.reach)),
    }
    if (attributes := update.attributes) is not None:
        fields |= {
            "origin": texts(list(Origin).index(attributes.origin)),
            "as_path": texts(*(asn for segment in attributes.as_path for asn in segment.asns)),
            "med": texts(*(() if attributes.med is None else (attributes.med,))),
            "local_pref": texts(
                *(() if attributes.local_pref is None else (attributes.local_pref,))
            ),
            "communities": sorted(texts(*attributes.communities)),
            "large_communities": texts(*(n for one in attributes.large_communities for n in one)),
        }
        if attributes.link_bandwidth is not None:
            fields["link_bandwidth"] = [f"{attributes.link_bandwidth.bytes_per_second:g}"]
    return fields


def as_ours(tshark: Facts) -> Facts:
    """Merge the fields that tshark keeps apart by position in the message or by kind."""
    fields = dict(tshark)

    def taken(*keys: str) -> list[str]:
        return [value for key in keys for value in fields.pop(key, [])]

    fields["withdrawn"] = sorted(taken("withdrawn", "mp_unreach_ipv4", "mp_unreach_ipv6"))
    fields["reached"] = sorted(taken("nlri", "mp_reach_ipv4", "mp_reach_ipv6"))
    fields["prefix_lengths"] = sorted(taken("prefix_lengths"))
    fields["next_hop"] = texts(*map(ip_address, taken("next_hop", "mp_next_hop")))
    halves = zip(taken("community_as"), taken("community_value"), strict=True)
    known = [int(value, 16) for value in taken("community_wellknown")]
    numbers = [*known, *(int(high) << 16 | int(low) for high, low in halves)]
    fields["communities"] = sorted(texts(*numbers))
    parts = (taken(key) for key in ("large_global", "large_first", "large_second"))
    fields["large_communities"] = [n for one in zip(*parts, strict=True) for n in one]
    return {key: values for key, values in fields.items() if values}


@pytest.mark.parametrize(("wire", "tshark"), NAMED)
def test_message_is_decoded_as_by_tshark(wire: str, tshark: Facts) -> None:
    assert facts(decoded(wire)) == as_ours(tshark)


@pytest.mark.parametrize(("wire", "tshark"), NAMED)
def test_decoded_message_can_be_encoded_again(wire: str, tshark: Facts) -> None:
    message = decoded(wire)

    assert decoded(encode(message)[len(MARKER) :].hex()) == message
    assert encode(message)[18] == int(tshark["type"][0])


def test_update_without_prefixes_is_end_of_rib() -> None:
    messages = [decoded(v["hex"]) for v in VECTORS if "prefix_lengths" not in v["tshark"]]
    ends = [message.end_of_rib for message in messages if isinstance(message, Update)]

    # One of them is in an attribute of extended length.
    assert sorted(map(str, ends)) == ["1", "2", "2"]
