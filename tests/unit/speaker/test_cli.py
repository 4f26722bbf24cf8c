"""The speaker's command line."""

from __future__ import annotations

import pytest

from speaker.cli import parse
from speaker.layer2.candidates import SPEAKER_LABELS


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("METALLB_NODE_NAME", "METALLB_ML_LABELS", "METALLB_BGP_TYPE", "METALLB_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("METALLB_NAMESPACE", "metallb-system")


def test_flags_and_environment_of_metallbs_manifest_are_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("METALLB_NODE_NAME", "node1")
    monkeypatch.setenv("METALLB_HOST", "10.0.0.1")
    monkeypatch.setenv("METALLB_ML_BIND_ADDR", "10.0.0.1")
    monkeypatch.setenv("METALLB_ML_LABELS", "app=metallb,component=speaker")
    options = parse(["--port=7472", "--config=config", "--log-level=info"])
    assert options.node_name == "node1"
    assert options.common.host == "10.0.0.1"
    assert options.speaker_labels == "app=metallb,component=speaker"
    assert not options.disable_endpoint_slices


def test_other_speakers_are_found_by_metallbs_labels() -> None:
    assert parse(["--node-name=n"]).speaker_labels == SPEAKER_LABELS


def test_l2_exclude_interfaces_replaces_the_container_interfaces() -> None:
    assert "^veth.*" in parse(["--node-name=n"]).layer2.excluded
    named = parse(["--node-name=n", "--l2-exclude-interfaces=^wlan ^ppp"])
    assert named.layer2.excluded == ("^wlan", "^ppp")
    assert parse(["--node-name=n", "--l2-exclude-interfaces="]).layer2.excluded == ()


def test_l2_announce_interval_is_off_by_default() -> None:
    assert parse(["--node-name=n"]).layer2.announce_interval == 0
    assert parse(["--node-name=n", "--l2-announce-interval=90"]).layer2.announce_interval == 90


@pytest.mark.parametrize("kind", ["native", "frr"])
def test_both_bgp_types_are_accepted(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setenv("METALLB_BGP_TYPE", kind)
    assert parse(["--node-name=n"]).node_name == "n"


@pytest.mark.parametrize(
    ("bgp_type", "line", "message"),
    [
        ("", ["--node-name=n"], 'METALLB_BGP_TYPE: "": want one of native, frr'),
        ("native", [], "--node-name: not set"),
        *(
            (
                "native",
                ["--node-name=n", f"--l2-announce-interval={wrong}"],
                f'"{wrong}": want 0, or seconds from 1',
            )
            for wrong in ("0.5", "-1", "1m", "inf", "")
        ),
        (
            "native",
            ["--node-name=n", "--membership=lease", "--lease-namespace=metallb-system"],
            '--lease-namespace: "metallb-system" holds the controller\'s Lease: want another',
        ),
        (
            "native",
            ["--node-name=n", "--l2-exclude-interfaces=^eth ("],
            '"(": missing ): (: want a regular expression',
        ),
    ],
)
def test_invalid_flags_and_environment_are_reported(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    bgp_type: str,
    line: list[str],
    message: str,
) -> None:
    monkeypatch.setenv("METALLB_BGP_TYPE", bgp_type)
    with pytest.raises(SystemExit) as end:
        parse(line)
    assert end.value.code == 2
    assert message in capsys.readouterr().err
