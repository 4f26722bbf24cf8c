"""Text for people and JSON for collectors, without characters that a terminal interprets."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallb_py.printable import and_more, listed, printable, printable_json, shortened

# Characters that must not appear in a line of text, each by its name.
CONTROLS = {
    "escape": "\x1b",
    "newline": "\n",
    "carriage return": "\r",
    "null": "\0",
    "delete": "\x7f",
    "next line": "\x85",
    "control sequence introducer": "\x9b",
    "arabic letter mark": "\u061c",
    "zero width space": "\u200b",
    "left-to-right mark": "\u200e",
    "right-to-left mark": "\u200f",
    "line separator": "\u2028",
    "paragraph separator": "\u2029",
    "left-to-right embedding": "\u202a",
    "right-to-left override": "\u202e",
    "first isolate": "\u2066",
    "last isolate": "\u2069",
    "byte order mark": "\ufeff",
    "lone high surrogate": "\ud800",
    "lone low surrogate": "\udfff",
    "tag": "\U000e0041",
    "private use": "\ue000",
    "noncharacter": "\U0010ffff",
}
READABLE = 'größer, 日本語, emoji 🎈, "quoted" \\ and ~'


@pytest.mark.parametrize("character", CONTROLS.values(), ids=CONTROLS)
def test_control_characters_are_escaped(character: str) -> None:
    assert printable(f"a{character}b").isprintable()
    assert printable(f"a{character}b") != "ab"


@pytest.mark.parametrize("character", CONTROLS.values(), ids=CONTROLS)
def test_escaped_json_decodes_to_the_same_text(character: str) -> None:
    line = printable_json(json.dumps([f"a{character}b"], ensure_ascii=False))
    assert line.isprintable()
    assert json.loads(line) == [f"a{character}b"]


def test_readable_text_is_unchanged() -> None:
    assert printable(READABLE) == READABLE
    assert printable(READABLE + "\x1b[31m") == READABLE + r"\x1b[31m"
    assert READABLE[:6] in printable_json(json.dumps(READABLE + "\x9b", ensure_ascii=False))


@given(st.text(st.characters()))
def test_any_text_becomes_printable(text: str) -> None:
    assert printable(text).isprintable()
    line = printable_json(json.dumps({"msg": text}, ensure_ascii=False))
    assert line.isprintable()
    assert json.loads(line) == {"msg": text}


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_with_surrogates_becomes_printable(text: str) -> None:
    assert printable(text).isprintable()
    line = printable_json(json.dumps({"msg": text}, ensure_ascii=False))
    line.encode()
    # Two surrogates that make a pair are, in JSON, the character that they stand for.
    joined = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    assert json.loads(line) == {"msg": joined}


def test_long_text_is_truncated_with_a_note() -> None:
    assert shortened("a" * 10, 10) == "a" * 10
    assert shortened("a" * 15, 10) == "a" * 10 + "... (5 more characters)"


def test_list_of_names_ends_with_the_number_of_those_left_out() -> None:
    assert listed(["a", "b", "c"], 3) == "a, b, c"
    assert listed(["a", "b", "c"], 2) == "a, b and 1 more"
    assert listed(("a", "b", "c"), 1, "nodes") == "a and 2 more nodes"
    assert listed([], 3) == ""


def test_nothing_is_added_to_a_list_that_is_complete() -> None:
    assert and_more(0, "pools") == and_more(-2) == ()
    assert and_more(2, "pools") == ("and 2 more pools",)
