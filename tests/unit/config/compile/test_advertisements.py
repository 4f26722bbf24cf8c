"""BGP advertisement options beyond MetalLB 0.12's keys: meaning, and rejected values."""

from __future__ import annotations

import pytest
from support.kube.config_text import BGP, PEER, problems

from metallb_py.config.communities import parse_community
from metallb_py.config.compile.read_config import read_config
from metallb_py.model.config import BgpAdvertisement
from metallb_py.model.route_attributes import RouteAttributes

PEERS = f"peers: [{{{PEER}, name: tor}}, {{my-asn: 1, peer-asn: 2, peer-address: 'FD00:0::1'}}]"


def advertised(*advertisements: str, top: str = "") -> tuple[BgpAdvertisement, ...]:
    (pool,) = read_config(text_of(*advertisements, top=top)).pools
    return pool.bgp_advertisements


def text_of(*advertisements: str, top: str = "") -> str:
    ads = ", ".join(f"{{{text}}}" for text in advertisements)
    return f"{top}\naddress-pools: [{{{BGP}, bgp-advertisements: [{ads}]}}]"


def test_absent_advertisement_options_have_metallbs_defaults() -> None:
    nothing = "large-communities: , med: , as-path-prepend: , weight-by-endpoints: , peers: , "
    assert advertised(nothing + "node-selectors: ") == (BgpAdvertisement(),)


def test_every_advertisement_option_is_read() -> None:
    (found,) = advertised(
        "large-communities: ['64512:1:2', 'large:1:0:0', far], communities: [far, 'large:1:2:3'], "
        "med: 4294967295, as-path-prepend: 16, weight-by-endpoints: true, "
        "peers: [tor, 'fd00:0:0::1', 10.0.0.1], node-selectors: [{match-labels: {rack: '1'}}]",
        top=f"bgp-communities: {{far: 'large:64512:9:9'}}\n{PEERS}",
    )
    assert found.attributes == RouteAttributes(
        large_communities=frozenset({(64512, 1, 2), (1, 0, 0), (64512, 9, 9), (1, 2, 3)}),
        med=2**32 - 1,
        as_path_prepend=16,
    )
    assert found.weight_by_endpoints
    assert found.peers == {"tor", "fd00::1", "10.0.0.1"}
    assert found.selects({"rack": "1"})
    assert not found.selects({"rack": "2"})


def test_med_zero_differs_from_no_med() -> None:
    assert [found.attributes.med for found in advertised("med: 0", "")] == [0, None]


def test_well_known_community_name_is_resolved() -> None:
    (found,) = advertised("communities: [no-export]")
    assert found.attributes.communities == {parse_community("65535:65281")}


@pytest.mark.parametrize(
    "different",
    [
        "large-communities: ['1:2:3']",
        "med: 0",
        "as-path-prepend: 1",
        "weight-by-endpoints: true",
        "peers: [tor]",
        "node-selectors: [{match-labels: {a: b}}]",
        "node-selectors: [{match-expressions: [{key: a, operator: Exists}]}]",
    ],
)
def test_advertisements_differing_in_one_option_are_not_duplicates(different: str) -> None:
    assert len(advertised(different, "", "localpref: 1", top=PEERS)) == 3
    ((_, path, message),) = problems(text_of("", different, different, top=PEERS))
    assert "duplicate definition of bgpadvertisements. advertisement 2 and 3 are equal" in message
    assert path.endswith("bgp-advertisements[2]")


def test_node_selectors_differing_in_a_value_are_not_duplicates() -> None:
    labels = [f"node-selectors: [{{match-labels: {{a: {value}}}}}]" for value in "bc"]
    values = [
        f"node-selectors: [{{match-expressions: [{{key: a, operator: In, values: [{value}]}}]}}]"
        for value in "de"
    ]
    assert len(set(advertised(*labels, *values))) == 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("large-communities: ['1:2']", 'invalid large community string "1:2"'),
        (
            "large-communities: [one]",
            'invalid large community "one" in BGP advertisement: an alias',
        ),
        ("large-communities: ['1:2:4294967296']", "invalid third section of community"),
        ("large-communities: ['1:2:3', '1:2:3']", 'duplicate definition of community "1:2:3"'),
        ("med: 4294967296", "into uint32"),
        ("med: -1", "into uint32"),
        ("as-path-prepend: 17", "invalid as-path-prepend 17: want 0 to 16 times"),
        ("weight-by-endpoints: 2", "into bool"),
        ("peers: [leaf]", 'unknown peer "leaf": want the name or address of one: 10.0.0.1, fd00::'),
        ("peers: [10.0.0.2]", 'unknown peer "10.0.0.2"'),
        ("peers: [tor, tor]", 'duplicate definition of peer "tor"'),
        ("peers: ['fd00::1', 'fd00:0::1']", 'duplicate definition of peer "fd00:0::1"'),
        ("peers: []", "no peer is named"),
        ("node-selectors: [{match-labels: {a: 'b c'}}]", 'parsing node selector: values: "b c"'),
    ],
)
def test_invalid_advertisement_option_is_reported_with_its_line(text: str, expected: str) -> None:
    ((line, _, message),) = problems(text_of(text, top=f"bgp-communities: {{one: 1:1}}\n{PEERS}"))
    assert message.startswith(("parsing address pool #1: parsing BGP comm", "could not parse"))
    assert expected in message
    assert line == 3


def test_unknown_peer_error_states_that_there_are_no_peers() -> None:
    ((_, _, message),) = problems(text_of("peers: [tor]"))
    assert "one: there are no peers" in message


def test_unparsable_peers_are_not_reported_as_unknown() -> None:
    assert len(problems(text_of("peers: [x]", top="peers: 5"))) == 1
    assert len(problems(text_of("peers: [x]", top=f"peers: [{{{PEER}, name: []}}]"))) == 1
    # A peer with another problem still counts by its name.
    assert len(problems(text_of("peers: [x]", top=f"peers: [{{{PEER}, name: x, my-asn: 0}}]"))) == 1
