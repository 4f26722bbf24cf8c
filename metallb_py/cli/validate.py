"""``metallb-py validate FILE``: the daemons' check of a configuration, before it is applied."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from metallb_py.cli import cluster
from metallb_py.cli.terminal import print_error, show
from metallb_py.config.compile.read_config import read_config
from metallb_py.config.problems import ConfigError, Problem
from metallb_py.config.yaml.document import Mapping, Node, Scalar, Sequence, parse_documents
from metallb_py.errors import ApiError, MetallbError
from metallb_py.model.config import Config

DESCRIPTION = """\
Check a configuration: a ConfigMap manifest (or several documents, or a List, with ConfigMaps
among them), or the bare text that such a ConfigMap holds under the key "config". Prints one line
for each problem, FILE:LINE: PLACE: PROBLEM. With --cluster, reads the Nodes of the cluster and
warns of pools that contain addresses of Nodes, FILE: warning: WARNING; "plan" shows the effect on
Services. Exit status: 0 valid, with or without warnings; 1 problems, which include invalid YAML; 2
the file can't be read or is not UTF-8 text, or the cluster can't be read.
"""
DATA_KEY = "config"
MAX_BYTES = 16 << 20
"""Size of a file in bytes; an object in the API server has at most 1.5 MiB."""


class UnreadableError(MetallbError):
    """A file can't be read, or is not UTF-8 text."""


@dataclass(frozen=True, slots=True)
class Found:
    """The text of a configuration and its first line in the file.

    ``exact`` is set if each line of the text is a line of the file. Otherwise the text was quoted
    or folded, and only its start is known.
    """

    text: str
    line: int
    exact: bool = True


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "validate", help="check a configuration", description=DESCRIPTION
    )
    parser.add_argument("file", help='a file, or "-" for standard input')
    parser.add_argument(
        "--cluster", action="store_true", help="warn of pools that contain addresses of Nodes"
    )
    cluster.add_kubeconfig(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check one file and print its problems; return the exit status."""
    try:
        configs, problems = _check(read_file(args.file))
        nodes = cluster.query(args, cluster.node_addresses) if args.cluster and configs else {}
    except (UnreadableError, ApiError) as error:
        print_error(error)
        return 2
    print_problems(args.file, problems)
    warnings = (each for config in configs for each in cluster.warn_of_nodes(config, nodes))
    show(f"{_shown(args.file)}: warning: {warning}" for warning in warnings)
    return 1 if problems else 0


def read_file(name: str) -> str:
    """Return a file's text; "-" names standard input. Raises UnreadableError."""
    shown = _shown(name)
    try:
        data = _read(sys.stdin.buffer) if name == "-" else _read_file(name)
        if len(data) > MAX_BYTES:
            raise UnreadableError(f"{shown}: more than {MAX_BYTES} bytes: want a configuration")
        return data.decode()
    except OSError as error:
        raise UnreadableError(f"{shown}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UnreadableError(f"{shown}: byte {error.start}: want UTF-8 text") from error


def _read_file(name: str) -> bytes:
    with Path(name).open("rb") as file:
        return _read(file)


def _read(file: BinaryIO) -> bytes:
    """Read a file, which may have no end, up to one byte more than is accepted."""
    return file.read(MAX_BYTES + 1)


def print_problems(name: str, problems: Iterable[Problem]) -> None:
    """Print one line for each problem of a file."""
    show(_line(name, problem) for problem in problems)


def _line(name: str, problem: Problem) -> str:
    place = f"{problem.path}: " if problem.path else ""
    return f"{_shown(name)}:{problem.line}: {place}{problem.message}"


def _shown(name: str) -> str:
    return "standard input" if name == "-" else name


def _check(text: str) -> tuple[list[Config], list[Problem]]:
    """Return the valid configurations of a file, and all problems with the lines of the file."""
    try:
        found = find_configs(text)
    except ConfigError as error:
        return [], list(error.problems)
    configs: list[Config] = []
    problems: list[Problem] = []
    for each in found:
        try:
            configs.append(read_config(each.text, each.line if each.exact else 1))
        except ConfigError as error:
            if each.exact:
                problems += error.problems
            else:
                place = f"data.{DATA_KEY}"
                problems += (Problem(each.line, place, str(p)) for p in error.problems)
    return configs, problems


def find_configs(text: str) -> list[Found]:
    """Return the configurations in a file: in its ConfigMaps, or the text if it has no objects.

    Raises ConfigError if there are objects but no configuration, or for invalid YAML.
    """
    documents = parse_documents(text)
    objects = [item for document in documents for item in _objects(document)]
    if not objects:
        return [Found(text, 1)]
    maps = [item for item in objects if _text(_value(item, "kind")) == "ConfigMap"]
    values = [value for item in maps if (value := _value(_value(item, "data"), DATA_KEY))]
    if not values:
        wanted = f'no configuration found: want a ConfigMap with the key "{DATA_KEY}" in its data'
        raise ConfigError((Problem(objects[0].line, "", wanted),))
    return [_found(value) for value in values]


def _objects(document: Node) -> Iterator[Node]:
    """Yield the Kubernetes objects of a document; for a List, its items."""
    if _value(document, "kind") is None or _value(document, "apiVersion") is None:
        return
    members = _value(document, "items")
    if isinstance(members, Sequence):
        yield from members.items
    else:
        yield document


def _found(value: Node) -> Found:
    if not isinstance(value, Scalar):
        wanted = f'want text, not YAML: "{DATA_KEY}: |" and the configuration indented below it'
        raise ConfigError((Problem(value.line, f"data.{DATA_KEY}", wanted),))
    # A literal block starts on the line after its "|".
    return Found(value.text, value.line + 1 if value.literal else value.line, value.literal)


def _value(node: Node | None, key: str) -> Node | None:
    if not isinstance(node, Mapping):
        return None
    return next((value for name, value in node.entries if name.text == key), None)


def _text(node: Node | None) -> str:
    return node.text if isinstance(node, Scalar) else ""
