"""YAML texts as trees, among them texts made to exhaust the parser."""

from __future__ import annotations

import pytest
import yaml

from metallb_py.config.problems import ConfigError
from metallb_py.config.yaml import document
from metallb_py.config.yaml.document import (
    MAX_DEPTH,
    Mapping,
    Node,
    Scalar,
    Sequence,
    parse_document,
    parse_documents,
)


@pytest.fixture(params=["CSafeLoader", "SafeLoader"])
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Parse with libyaml, and with the loader of a PyYAML built without it."""
    name = str(request.param)
    monkeypatch.setattr(document, "_Loader", getattr(yaml, name))
    return name


def simple(node: Node | None) -> object:
    """Return a tree as plain Python values."""
    match node:
        case Scalar():
            return node.text
        case Sequence():
            return [simple(item) for item in node.items]
        case Mapping():
            return [(key.text, simple(value)) for key, value in node.entries]
    return None


def test_scalars_keep_their_text_line_and_quoting() -> None:
    tree = parse_document('a: 64512:1\nb: "yes"\nc: yes\nd: !!str 5\ne: |\n  x\n')
    assert simple(tree) == [("a", "64512:1"), ("b", "yes"), ("c", "yes"), ("d", "5"), ("e", "x\n")]
    assert isinstance(tree, Mapping)
    values = [value for _, value in tree.entries]
    assert [value.line for value in values] == [1, 2, 3, 4, 5]
    tags = ["", "!!str", "", "!!str", "!!str"]
    assert [isinstance(v, Scalar) and v.tag for v in values] == tags
    assert [isinstance(v, Scalar) and v.literal for v in values] == [False] * 4 + [True]


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_an_empty_text_has_no_document(text: str) -> None:
    tree = parse_document(text)
    assert tree is None or (isinstance(tree, Scalar) and tree.text == "")


def test_only_the_first_document_is_read() -> None:
    assert simple(parse_document("a: 1\n---\nb: 2\n")) == [("a", "1")]


def test_json_is_yaml() -> None:
    assert simple(parse_document('{"a": [1, "2"]}')) == [("a", ["1", "2"])]


def test_anchors_and_merge_keys_are_expanded() -> None:
    text = "x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\nz: {<<: [{a: 7}, *x]}\nl: &l [1]\nm: *l\n"
    tree = parse_document(text)
    assert simple(tree) == [
        ("x", [("a", "1"), ("b", "2")]),
        ("y", [("b", "3"), ("a", "1")]),
        ("z", [("a", "7"), ("b", "2")]),
        ("l", ["1"]),
        ("m", ["1"]),
    ]


def test_repeated_keys_are_kept_to_be_reported() -> None:
    assert simple(parse_document("a: 1\na: 2\n")) == [("a", "1"), ("a", "2")]


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("a: [", 2, "did not find expected node content"),
        ("a: b: c", 1, "mapping values are not allowed"),
        ("a: @x", 1, "cannot start any token"),
        ("a: *nowhere", 1, "unknown anchor referenced"),
        ("a: &a [*a]", 1, "anchor value contains itself"),
        ("<<: 1", 1, "map merge requires map or sequence of maps as the value"),
        ("? [a]\n: 1", 1, "want a scalar as a key"),
        ("a: 1\nb: \x00", 2, "control characters are not allowed"),
        ("a: 1\nb: \ud800", 2, "surrogates not allowed"),
        ("[" * (MAX_DEPTH + 1), 1, "nested deeper than"),
        ("[" * 100_000, 1, "nested deeper than"),
        ("x" * 2_000_000, 1, "want at most"),
    ],
)
def test_invalid_document_is_reported_with_its_line(text: str, line: int, expected: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_document(text)
    (problem,) = error.value.problems
    assert expected in problem.message
    assert problem.message.startswith("could not parse config: ")
    assert problem.line in (line, line - 1)


def test_billion_laughs_are_rejected() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    with pytest.raises(ConfigError, match="excessive aliasing"):
        parse_document("\n".join(lines))


def test_long_chain_of_merges_does_not_recurse_deeply() -> None:
    lines = ["x0: &x0 {k: 1}"] + [f"x{n}: &x{n} {{<<: *x{n - 1}}}" for n in range(1, 400)]
    tree = parse_document("\n".join(lines))
    assert isinstance(tree, Mapping)
    assert simple(tree.entries[-1][1]) == [("k", "1")]


def test_multiplying_merges_are_rejected() -> None:
    lines = ["x0: &x0 {k0: 1}"]
    lines += [f"x{n}: &x{n} {{<<: [*x{n - 1}, *x{n - 1}], k{n}: 1}}" for n in range(1, 60)]
    with pytest.raises(ConfigError, match="excessive aliasing"):
        parse_document("\n".join(lines))


def test_many_aliases_of_one_long_scalar_are_rejected() -> None:
    with pytest.raises(ConfigError, match="excessive aliasing"):
        parse_document(f"a: &a {'x' * 100_000}\nb: [{'*a, ' * 100}]")


@pytest.mark.parametrize(
    "text",
    ["password: 'hunter2\nx: [", "password: *hunter2", "password: !hunter2!x y",
     'password: "\\hunter2"', "password: %hunter2"],
)  # fmt: skip
def test_yaml_error_does_not_quote_the_text(text: str, loader: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_document(text)
    assert "hunter2" not in str(error.value)
    assert "'h'" not in str(error.value)


def test_line_numbers_count_from_first_line(loader: str) -> None:
    tree = parse_document("a: 1\nb: 2\n", first_line=5)
    assert isinstance(tree, Mapping)
    assert [(key.line, value.line) for key, value in tree.entries] == [(5, 5), (6, 6)]
    for text in ("a: 1\nb: [}", "a: 1\nb: \x00"):
        with pytest.raises(ConfigError) as error:
            parse_document(text, first_line=5)
        assert error.value.problems[0].line == 6
        assert "could not parse config: yaml: line 6: " in error.value.problems[0].message


def test_every_document_of_a_stream_is_parsed() -> None:
    documents = parse_documents("a: &x 1\n---\n# none\n---\n[b]\n")
    assert [simple(node) for node in documents] == [[("a", "1")], "", ["b"]]
    with pytest.raises(ConfigError, match="unknown anchor"):
        parse_documents("a: &x 1\n---\nb: *x\n")


def test_scalars_are_not_in_repr() -> None:
    assert "hunter2" not in repr(parse_document("password: hunter2"))
