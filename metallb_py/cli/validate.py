"""``metallb-py validate FILE``: what the daemons would say of a configuration, before they do."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from metallb_py.config.compile import read_config
from metallb_py.config.problems import ConfigError

DESCRIPTION = """\
Check a configuration: a ConfigMap manifest (or several documents, or a List, with ConfigMaps
among them), or the bare text that such a ConfigMap holds under the key "config". Prints one line
for each problem. Exit status: 0 valid, 1 problems, 2 the file can't be read.
"""
DATA_KEY = "config"


@dataclass(frozen=True, slots=True)
class Found:
    """A configuration's text and the number of its first line in the file."""

    text: str
    first_line: int


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "validate", help="check a configuration", description=DESCRIPTION
    )
    parser.add_argument("file", help='a file, or "-" for standard input')
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check one file and print its problems; return the exit status."""
    name = "standard input" if args.file == "-" else args.file
    try:
        data = sys.stdin.buffer.read() if args.file == "-" else Path(args.file).read_bytes()
        text = data.decode()
    except OSError as error:
        print(f"{name}: {error.strerror}", file=sys.stderr)
        return 2
    except UnicodeDecodeError as error:
        print(f"{name}: byte {error.start}: want UTF-8 text", file=sys.stderr)
        return 2
    return _check(name, text)


def _check(name: str, text: str) -> int:
    problems = 0
    for found in find_configs(text):
        try:
            read_config(found.text, found.first_line)
        except ConfigError as error:
            for problem in error.problems:
                place = f"{problem.path}: " if problem.path else ""
                print(f"{name}:{problem.line}: {place}{problem.message}")
            problems += len(error.problems)
    return 1 if problems else 0


def find_configs(text: str) -> Iterator[Found]:
    """Find the configurations in a file: in its ConfigMaps, or the whole text where there are none.

    A text that is no YAML counts as a configuration, for ``read_config`` to say what is wrong.
    """
    try:
        documents = list(yaml.compose_all(text, yaml.SafeLoader))
    except (yaml.YAMLError, RecursionError):
        yield Found(text, 1)
        return
    objects = [item for document in documents for item in _objects(document)]
    if not objects:
        yield Found(text, 1)
    for item in objects:
        if _text(_value(item, "kind")) == "ConfigMap":
            config = _value(_value(item, "data"), DATA_KEY)
            if isinstance(config, yaml.ScalarNode):
                yield _found(config)


def _objects(document: yaml.Node) -> Iterator[yaml.Node]:
    """The Kubernetes objects in a document; a List stands for its items."""
    if _value(document, "kind") is None or _value(document, "apiVersion") is None:
        return
    members = _value(document, "items")
    if isinstance(members, yaml.SequenceNode):
        yield from members.value
    else:
        yield document


def _found(config: yaml.ScalarNode) -> Found:
    # A block starts on the line after its "|"; the text of other styles on their own line.
    line = config.start_mark.line + 1
    return Found(config.value, line + 1 if config.style in ("|", ">") else line)


def _value(node: yaml.Node | None, key: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    pairs: list[tuple[yaml.Node, yaml.Node]] = node.value
    return next((value for name, value in pairs if _text(name) == key), None)


def _text(node: yaml.Node | None) -> str:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""
