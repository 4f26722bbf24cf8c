"""YAML decoded against the schema."""

from __future__ import annotations

import pytest

from metallb_py.config.configmap import SCHEMA, decode


def test_records_know_their_lines_and_paths() -> None:
    record, problems = decode("peers:\n- my-asn: 1\n  password: 0123\n- {}\n")
    assert not problems
    first, second = record.record_lists["peers"]
    assert (first.path, first.line) == ("peers[0]", 2)
    assert first.number("my-asn") == 1
    assert first.string("password") == "0123"
    assert first.line_of("password") == 3
    assert first.line_of("peer-asn") == 2
    assert second.number("my-asn") is None


def test_null_and_absent_are_alike() -> None:
    written, _ = decode("address-pools:\n- {name: null, auto-assign: ~, addresses: }\n")
    absent, _ = decode("address-pools:\n- {}\n")
    pools = [r.record_lists["address-pools"][0] for r in (written, absent)]
    assert pools[0].as_written() == pools[1].as_written()
    assert pools[0].flag("auto-assign") is None


@pytest.mark.parametrize("type_name", SCHEMA)
def test_unknown_keys_are_told_with_those_that_are_known(type_name: str) -> None:
    places = {
        "configFile": "x: 1",
        "peer": "peers: [{x: 1}]",
        "nodeSelector": "peers: [{node-selectors: [{x: 1}]}]",
        "selectorRequirements": "peers: [{node-selectors: [{match-expressions: [{x: 1}]}]}]",
        "addressPool": "address-pools: [{x: 1}]",
        "bgpAdvertisement": "address-pools: [{bgp-advertisements: [{x: 1}]}]",
        "bfdProfile": "bfd-profiles: [{x: 1}]",
    }
    _, (problem,) = decode(places[type_name])
    assert f"line 1: field x not found in type config.{type_name}" in problem.message
    assert all(key in problem.message for key in SCHEMA[type_name])


def test_a_value_of_the_wrong_type_marks_its_key() -> None:
    record, (problem,) = decode("peers:\n- my-asn: abc\n")
    assert record.record_lists["peers"][0].failed == {"my-asn"}
    assert problem.path == "peers[0].my-asn"
