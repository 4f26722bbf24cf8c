"""YAML decoded against the schema."""

from __future__ import annotations

import pytest

from metallb_py.config.problems import ConfigError, Findings, Problem
from metallb_py.config.yaml import schema
from metallb_py.config.yaml.schema import SCHEMA, Record


def decode(text: str) -> tuple[Record, tuple[Problem, ...]]:
    """Decode a text; return the record and the problems found."""
    findings = Findings()
    record = schema.decode(text, findings)
    try:
        findings.raise_if_any()
    except ConfigError as error:
        return record, error.problems
    return record, ()


def test_records_have_lines_and_paths() -> None:
    record, problems = decode("peers:\n- my-asn: 1\n  password: 0123\n- {}\n")
    assert not problems
    first, second = record.record_lists["peers"]
    assert (first.path, first.line) == ("peers[0]", 2)
    assert first.number("my-asn") == 1
    assert first.string("password") == "0123"
    assert first.line_of("password") == 3
    assert first.line_of("peer-asn") == 2
    assert second.number("my-asn") is None


def test_null_equals_absent() -> None:
    written, _ = decode("address-pools:\n- {name: null, auto-assign: ~, addresses: }\n")
    absent, _ = decode("address-pools:\n- {}\n")
    pools = [r.record_lists["address-pools"][0] for r in (written, absent)]
    assert pools[0].as_written() == pools[1].as_written()
    assert pools[0].flag("auto-assign") is None


@pytest.mark.parametrize("type_name", SCHEMA)
def test_unknown_key_is_reported_with_the_known_keys(type_name: str) -> None:
    places = {
        "configFile": "x: 1",
        "peer": "peers: [{x: 1}]",
        "passwordSecret": "peers: [{password-secret: {name: a, x: 1}}]",
        "nodeSelector": "peers: [{node-selectors: [{x: 1}]}]",
        "selectorRequirements": "peers: [{node-selectors: [{match-expressions: [{x: 1}]}]}]",
        "addressPool": "address-pools: [{x: 1}]",
        "bgpAdvertisement": "address-pools: [{bgp-advertisements: [{x: 1}]}]",
        "labelSelector": "address-pools: [{service-selectors: [{x: 1}]}]",
        "bfdProfile": "bfd-profiles: [{x: 1}]",
    }
    _, (problem,) = decode(places[type_name])
    shown = "..." if type_name == "passwordSecret" else "x"
    assert f"line 1: field {shown} not found in type config.{type_name}" in problem.message
    assert all(key in problem.message for key in SCHEMA[type_name])


def test_value_of_the_wrong_type_marks_its_key_as_failed() -> None:
    record, (problem,) = decode("peers:\n- my-asn: abc\n")
    assert record.record_lists["peers"][0].failed == {"my-asn"}
    assert problem.path == "peers[0].my-asn"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("peers: [{password:hunter2}]", "field password... not found in type config.peer"),
        ("peers: [{password hunter2}]", "field password... not found in type config.peer"),
        ("peers: [{password: a,hunter2: b}]", "field ... not found in type config.peer"),
        ("peers: [{password: a,b,hunter2}]", "field ... not found in type config.peer"),
        ("peers:\n- password: a\n  pasword: hunter2", "field pasword not found"),
        ("peers:\n- password: !!int hunter2", "cannot unmarshal !!int into string"),
        ("peers:\n- password: !!binary hunter2", "cannot unmarshal !!binary into string"),
        ("peers: [{password-secret: hunter2}]", "cannot unmarshal !!str into config.password"),
        ("peers: [{password-secret: {hunter2}}]", "field ... not found in type config.password"),
        ("peers: [{password-secret: {hunter2: x}}]", "field ... not found"),
        ("peers: [{password-secret: a,hunter2: b}]", "field ... not found in type config.peer"),
        ("peers:\n- password: {hunter2: x}", "cannot unmarshal !!map into string"),
    ],
)
def test_passwords_are_not_printed_in_schema_errors(text: str, shown: str) -> None:
    record, problems = decode(text)
    assert any(shown in problem.message for problem in problems)
    assert "hunter2" not in str(problems)
    assert "hunter2" not in repr(record)


def test_each_of_several_wrong_types_is_reported() -> None:
    record, problems = decode(
        "address-pools:\n- addresses: [[], a, {}]\nbgp-communities: {x: [], y: 1:1, z: {}}\n"
    )
    assert [problem.path for problem in problems] == [
        "address-pools[0].addresses[0]",
        "address-pools[0].addresses[2]",
        "bgp-communities.x",
        "bgp-communities.z",
    ]
    (pool,) = record.record_lists["address-pools"]
    assert [item.value for item in pool.string_lists["addresses"]] == ["a"]
    assert list(record.string_maps["bgp-communities"]) == ["y"]


def test_long_names_do_not_make_long_paths() -> None:
    _, (problem,) = decode(f"address-pools: [{{name: {'x' * 100_000}, y: 1}}]")
    assert len(problem.path) < 100


def test_list_of_strings_may_be_a_single_string() -> None:
    record, problems = decode("peers: [{next-hop: 10.0.0.1}, {next-hop: [10.0.0.1]}, {next-hop: }]")
    lists = [peer.string_lists.get("next-hop") for peer in record.record_lists["peers"]]
    assert not problems
    assert lists[2] is None
    assert [[item.value for item in found or []] for found in lists[:2]] == [["10.0.0.1"]] * 2
    _, (problem,) = decode("peers: [{next-hop: {}}]")
    assert "cannot unmarshal !!map into []string" in problem.message
