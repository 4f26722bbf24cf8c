"""``metallb-py validate`` as run in a pipeline."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from metallb_py.cli.__main__ import main

GOOD = "address-pools:\n- {name: a, protocol: layer2, addresses: [10.0.0.0/24]}\n"
BAD = "address-pools:\n- {name: a, protocol: layer3, addresses: [10.0.0.0/33]}\n"


def manifest(text: str) -> str:
    body = "".join(f"    {line}\n" for line in text.splitlines())
    return (
        f"kind: ConfigMap\napiVersion: v1\nmetadata: {{name: config}}\ndata:\n  config: |\n{body}"
    )


def validate(path: Path, text: str | bytes) -> int:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SystemExit) as end:
        main(["validate", str(path)])
    assert isinstance(end.value.code, int)
    return end.value.code


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


@pytest.mark.parametrize(
    "text",
    [GOOD, manifest(GOOD), "", f"kind: Secret\napiVersion: v1\n---\n{manifest(GOOD)}"],
)
def test_valid_file_exits_0_without_output(
    file: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert validate(file, text) == 0
    assert capsys.readouterr().out == ""


def test_each_problem_is_one_line(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert validate(file, BAD) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(
        f'{file}:2: address-pools[0] "a".addresses[0]: parsing address pool #1: '
    )
    assert 'unknown protocol "layer3"' in second


def test_line_numbers_are_those_of_the_manifest(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert validate(file, manifest(BAD)) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[1] for line in lines] == ["7", "7"]


def test_configmap_in_a_list_of_objects_is_validated(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (
        "kind: List\napiVersion: v1\nitems:\n- kind: ConfigMap\n  data:\n    config: 'peers: 1'\n"
    )
    assert validate(file, text) == 1
    assert f"{file}:6: data.config: peers, line 1: " in capsys.readouterr().out


def test_problem_in_a_quoted_text_has_the_line_of_the_text(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = 'kind: ConfigMap\napiVersion: v1\ndata:\n  config: "peers:\\n- x: 1\\n"\n'
    assert validate(file, text) == 1
    assert f"{file}:4: data.config: peers[0], line 2: " in capsys.readouterr().out


def test_several_configmaps_are_validated(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert validate(file, f"{manifest(GOOD)}---\n{manifest(BAD)}---\n{manifest(BAD)}") == 1
    lines = [line.split(":")[1] for line in capsys.readouterr().out.splitlines()]
    assert lines == ["15", "15", "23", "23"]


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("kind: Secret\napiVersion: v1\n---\na: [", 4, "did not find expected node content"),
        ("kind: Secret\napiVersion: v1\n", 1, 'want a ConfigMap with the key "config"'),
        ("kind: ConfigMap\napiVersion: v1\ndata: {config.yaml: x}", 1, "no configuration found"),
        ("kind: ConfigMap\napiVersion: v1\ndata:\n  config:\n    peers: []", 5, "not YAML"),
    ],
)
def test_manifest_without_a_configuration_is_reported(
    file: Path, text: str, line: int, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert validate(file, text) == 1
    (output,) = capsys.readouterr().out.splitlines()
    assert expected in output
    assert output.startswith((f"{file}:{line}: ", f"{file}:{line + 1}: "))


def test_other_objects_may_be_deeply_nested(file: Path) -> None:
    deep = "".join(f"{' ' * n}a:\n" for n in range(1, 100))
    assert validate(file, f"kind: X\napiVersion: v1\nb:\n{deep}---\n{manifest(GOOD)}") == 0


def test_newline_in_a_name_does_not_break_the_line(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert validate(file, 'address-pools: [{name: "a\\nb", protocol: x, addresses: [y]}]') == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all('address-pools[0] "a\\nb"' in line for line in lines)


@pytest.mark.parametrize("data", ["a: [", "kind: [\n", "[" * 5000])
def test_invalid_yaml_is_a_problem(
    file: Path, data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert validate(file, data) == 1
    assert "could not parse config: " in capsys.readouterr().out


def test_file_that_is_not_utf8_is_unreadable(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert validate(file, b"\xff\xfe\x00") == 2
    assert "want UTF-8 text" in capsys.readouterr().err


def test_missing_file_is_unreadable(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["validate", "/nonexistent/file"])
    assert end.value.code == 2
    assert "/nonexistent/file: No such file" in capsys.readouterr().err


def test_standard_input_is_validated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(BAD.encode()))
    monkeypatch.setattr("sys.stdin", stdin)
    with pytest.raises(SystemExit) as end:
        main(["validate", "-"])
    assert end.value.code == 1
    assert capsys.readouterr().out.startswith("standard input:2: ")


@pytest.mark.parametrize(
    "text",
    [
        'peers: [{my-asn: 1, peer-asn: 2, peer-address: "a\\eb\\u202e\\u2028\\x85"}]',
        '"address-pools\\x9b": []',
        'address-pools: [{name: "\\e[2J", protocol: "\\u2066", addresses: ["\\n"]}]',
        manifest('peers: [{name: "\\a\\e]0;x\\a"}]'),
    ],
)
def test_control_characters_are_escaped(
    file: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert validate(file, text) == 1
    out = capsys.readouterr().out
    assert out
    assert all(line.isprintable() for line in out.split("\n"))


@pytest.mark.parametrize(
    "data", [bytes(range(256)), b"\x7fELF\x02\x01\x01\0", b"\xff\xfe", b"\x1f\x8b\x08\0" * 1000]
)
def test_binary_file_is_reported_on_one_printable_line(
    file: Path, data: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    assert validate(file, data) in (1, 2)
    captured = capsys.readouterr()
    lines = (captured.out + captured.err).splitlines()
    assert len(lines) == 1
    assert lines[0].isprintable()


def ends_with(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    with pytest.raises(SystemExit) as end:
        main(["validate", *arguments])
    assert isinstance(end.value.code, int)
    captured = capsys.readouterr()
    return end.value.code, captured.out + captured.err


def test_directory_device_and_missing_file_are_unreadable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends_with([str(tmp_path)], capsys) == (2, f"{tmp_path}: Is a directory\n")
    assert ends_with(["/dev/zero"], capsys)[0] == 2
    odd = tmp_path / "a\nb\x1b\udcff"
    status, output = ends_with([str(odd)], capsys)
    assert status == 2
    assert "a\\nb\\x1b\\udcff: No such file" in output


def test_named_pipe_is_validated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(BAD,))
    writer.start()
    status, output = ends_with([str(pipe)], capsys)
    writer.join()
    assert status == 1
    assert len(output.splitlines()) == 2


def test_a_huge_file_is_not_read_to_its_end(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with file.open("wb") as huge:
        huge.truncate(1 << 40)  # sparse: it takes no room
    status, output = ends_with([str(file)], capsys)
    assert status == 2
    assert "more than 16777216 bytes" in output


def test_ascii_terminal_gets_other_characters_escaped(file: Path) -> None:
    file.write_text("address-pools: [{name: é, protocol: x, addresses: [10.0.0.0/24]}]")
    done = subprocess.run(
        [sys.executable, "-m", "metallb_py.cli", "validate", str(file)],
        env={"PYTHONIOENCODING": "ascii"},
        cwd=Path(__file__).parents[3],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert b"\\xe9" in done.stdout
    assert done.stderr == b""
