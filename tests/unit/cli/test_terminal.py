"""Output of the commands on an operator's terminal."""

from __future__ import annotations

import argparse
import ast
import json
from pathlib import Path

import pytest

from metallb_py.cli import terminal, validate
from metallb_py.cli.terminal import print_error, show, show_json

COMMANDS = Path(terminal.__file__).parent
HOSTILE = "\x1b]0;title\x07\u202e\x9b2J\u2028\ud800"


def test_lines_are_printable(capsys: pytest.CaptureFixture[str]) -> None:
    show([f"default/web: {HOSTILE}", "größer"])
    print_error(ValueError(f"{HOSTILE}\nforged line"))
    shown = capsys.readouterr()
    assert all(line.isprintable() for line in shown.out.splitlines() + shown.err.splitlines())
    assert shown.out.splitlines()[1:] == ["größer"]
    assert len(shown.err.splitlines()) == 1


def test_json_is_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    item: dict[str, object] = {"service": HOSTILE, "other": "\x7f"}
    show_json(item)
    shown = capsys.readouterr().out
    assert shown.isascii()
    assert all(line.isprintable() for line in shown.splitlines())
    assert json.loads(shown) == item


def test_control_characters_in_file_name_and_config_are_escaped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a\x1b[31m\u202eb"
    file.write_text("peers: [{my-asn: '\u202e\u2028 x'}]\n\u061c: 1\n")
    assert validate.run(argparse.Namespace(file=str(file), cluster=False)) == 1
    shown = capsys.readouterr().out
    assert "my-asn" in shown
    assert all(line.isprintable() for line in shown.split("\n"))


@pytest.mark.parametrize("module", sorted(COMMANDS.glob("*.py")), ids=lambda path: path.name)
def test_only_the_terminal_module_prints(module: Path) -> None:
    calls = {
        node.func.id
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert "print" not in calls or module.name == "terminal.py"
