"""Single values as Go's yaml.v2 decodes them."""

from __future__ import annotations

import pytest

from metallb_py.config.yaml.document import Mapping, Scalar, Sequence
from metallb_py.config.yaml.scalars import (
    WrongTypeError,
    is_null,
    read_bool,
    read_integer,
    read_string,
    wrong_type,
)


def plain(text: str) -> Scalar:
    return Scalar(1, text)


def quoted(text: str) -> Scalar:
    return Scalar(1, text, "!!str")


@pytest.mark.parametrize("text", ["123", "yes", "0123", "64512:1", "1e3", "2001-01-01", "0x10"])
def test_strings_are_verbatim(text: str) -> None:
    assert read_string(plain(text)) == text


@pytest.mark.parametrize("text", ["", "~", "null", "Null", "NULL"])
def test_null_is_the_zero_value(text: str) -> None:
    assert is_null(plain(text))
    assert not is_null(quoted(text))
    assert read_string(plain(text)) == ""
    assert read_integer(plain(text), "int", 0, 9) == 0
    assert read_bool(plain(text)) is False
    assert read_string(quoted(text)) == text


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("64500", 64500),
        ("0x10", 16),
        ("0b101", 5),
        ("010", 8),
        ("0o10", 8),
        ("1_000", 1000),
        ("+7", 7),
        ("-7", -7),
        ("3.0", 3),
        ("1e+3", 1000),
        ("1e3", 1000),
        ("1.", 1),
        (".5e1", 5),
        ("08", 8),
        ("-0.0", 0),
        ("1e18", 10**18),
        ("0", 0),
    ],
)
def test_integers_are_decoded(text: str, number: int) -> None:
    assert read_integer(plain(text), "int", -(2**63), 2**63 - 1) == number


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (plain("abc"), "cannot unmarshal !!str `abc` into uint32"),
        (plain("-1"), "cannot unmarshal !!int `-1` into uint32"),
        (plain("42949672960"), "cannot unmarshal !!int `4294967...` into uint32"),
        (quoted("5"), "cannot unmarshal !!str `5` into uint32"),
        (plain("_1"), "cannot unmarshal !!str `_1` into uint32"),
        (plain(".inf"), "cannot unmarshal !!float `.inf` into uint32"),
        (Scalar(1, "5", "!foo"), "cannot unmarshal !foo `5` into uint32"),
        (Scalar(1, "5.5", "!!int"), "cannot decode !!float `5.5` as a !!int"),
        (plain("true"), "cannot unmarshal !!bool `true` into uint32"),
        (plain("1.10"), "cannot unmarshal !!float `1.10` into uint32"),
        (plain("64512.5"), "cannot unmarshal !!float `64512.5` into uint32"),
        (plain("1e-3"), "cannot unmarshal !!float `1e-3` into uint32"),
        (plain("1e+99"), "cannot unmarshal !!float `1e+99` into uint32"),
        (plain("9" * 10000), "cannot unmarshal !!int `9999999...` into uint32"),
        (Sequence(1), "cannot unmarshal !!seq into uint32"),
        (Mapping(1), "cannot unmarshal !!map into uint32"),
    ],
)
def test_invalid_integer_is_a_wrong_type_error(
    node: Scalar | Sequence | Mapping, expected: str
) -> None:
    with pytest.raises(WrongTypeError) as error:
        read_integer(node, "uint32", 0, 2**32 - 1)
    assert str(error.value) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [("y", True), ("Yes", True), ("ON", True), ("true", True), ("n", False), ("Off", False)],
)
def test_booleans_are_decoded(text: str, value: bool) -> None:
    assert read_bool(plain(text)) is value
    with pytest.raises(WrongTypeError):
        read_bool(quoted(text))


@pytest.mark.parametrize("text", ["1", "tRue", "truth"])
def test_invalid_boolean_is_a_wrong_type_error(text: str) -> None:
    with pytest.raises(WrongTypeError):
        read_bool(plain(text))


def test_collection_is_not_a_string() -> None:
    with pytest.raises(WrongTypeError, match="cannot unmarshal !!seq into string"):
        read_string(Sequence(1))


def test_a_value_that_may_be_secret_is_not_quoted() -> None:
    assert "hunter2" not in str(wrong_type(plain("hunter2"), "config.peer", quote=False))


def test_matching_explicit_tags_are_accepted() -> None:
    assert read_integer(Scalar(1, "5", "!!int"), "int", 0, 9) == 5
    assert read_integer(Scalar(1, "5", "!!float"), "int", 0, 9) == 5
    assert read_bool(Scalar(1, "yes", "!!bool")) is True
    assert is_null(Scalar(1, "", "!!null"))
    assert read_string(Scalar(1, "5", "!foo")) == "5"
    assert read_string(Scalar(1, "2001-01-01", "!!timestamp")) == "2001-01-01"


def test_binary_tag_is_decoded_from_base64() -> None:
    assert read_string(Scalar(1, "aHVudGVyMg==\n", "!!binary")) == "hunter2"
    for text in ("x", "/w==", "aHVud\u00e9"):
        with pytest.raises(WrongTypeError, match="invalid base64 data"):
            read_string(Scalar(1, text, "!!binary"))
