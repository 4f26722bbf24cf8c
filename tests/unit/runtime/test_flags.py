"""Flags as parsed by Go's flag package."""

from __future__ import annotations

import pytest

from metallb_py.runtime.flags import FlagParser, common_options
from metallb_py.runtime.log import Level


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("METALLB_HOST", "METALLB_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)


def parser() -> FlagParser:
    return FlagParser("test", "A test.")


@pytest.mark.parametrize(
    "line",
    [["--port=9000"], ["-port=9000"], ["--port", "9000"], ["-port", "9000"]],
)
def test_flag_takes_one_or_two_dashes_and_equals_or_space(line: list[str]) -> None:
    assert common_options(parser().parse(line)).port == 9000


def test_flag_defaults_are_metallbs() -> None:
    options = common_options(parser().parse([]))
    assert options.port == 7472
    assert options.config == "config"
    assert options.log_level is Level.INFO
    assert options.namespace == ""


def test_flag_overrides_the_default_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("METALLB_NAMESPACE", "from-environment")
    assert common_options(parser().parse([])).namespace == "from-environment"
    assert common_options(parser().parse(["--namespace=flag"])).namespace == "flag"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ([], False),
        (["--enable-pprof"], True),
        (["-enable-pprof=false"], False),
        (["--enable-pprof=true", "--port=1"], True),
        (["--enable-pprof", "--port=1"], True),
    ],
)
def test_boolean_flags(line: list[str], expected: bool) -> None:
    assert parser().parse(line).enable_pprof is expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (["--nonsense"], "--nonsense"),
        (["--port=70000"], '"70000": want a port from 0 to 65535'),
        (["--log-level=loud"], '"loud": want one of all debug info warn error none'),
        (["--enable-pprof=maybe"], '"maybe": want true or false'),
        (["--por=1"], "--por"),
    ],
)
def test_invalid_flag_exits_with_usage_and_status_2(
    line: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        parser().parse(line)
    assert end.value.code == 2
    output = capsys.readouterr().err
    assert "usage:" in output
    assert expected in output
