"""The controller's command line."""

from __future__ import annotations

import pytest

from controller.cli import parse
from controller.orphaned_addresses import OrphanPolicy


def test_flags_and_environment_of_metallbs_manifest_are_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("METALLB_ML_SECRET_NAME", "memberlist")
    monkeypatch.setenv("METALLB_DEPLOYMENT", "controller")
    monkeypatch.setenv("METALLB_NAMESPACE", "metallb-system")
    options = parse(["--port=7472", "--config=config", "--log-level=info"])
    assert options.common.namespace == "metallb-system"
    assert options.load_balancer_class == ""
    assert (options.memberlist_secret, options.deployment) == ("memberlist", "controller")
    assert options.lease_seconds == 0, "its Role has no rule for Leases"


def test_lb_class_sets_the_load_balancer_class() -> None:
    assert parse(["--namespace=x", "--lb-class=ours"]).load_balancer_class == "ours"


def test_a_missing_namespace_is_a_startup_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("METALLB_NAMESPACE", raising=False)
    with pytest.raises(SystemExit) as end:
        parse([])
    assert end.value.code == 2
    assert "want the ConfigMap's namespace" in capsys.readouterr().err


def test_orphaned_addresses_flag_selects_the_policy(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert parse(["--namespace=x"]).orphaned_addresses is OrphanPolicy.DRAIN
    line = ["--namespace=x", "--orphaned-addresses=renumber"]
    assert parse(line).orphaned_addresses is OrphanPolicy.RENUMBER
    with pytest.raises(SystemExit):
        parse(["--namespace=x", "--orphaned-addresses=forget"])
    assert '"forget": want one of drain, refuse, renumber' in capsys.readouterr().err


def test_leader_elect_flags_set_the_lease_duration(capsys: pytest.CaptureFixture[str]) -> None:
    line = ["--namespace=x", "--leader-elect"]
    assert parse(line).lease_seconds == 2
    assert parse([*line, "--leader-elect-lease-duration=15s"]).lease_seconds == 15
    assert parse(["--namespace=x", "--leader-elect=false"]).lease_seconds == 0
    with pytest.raises(SystemExit):
        parse([*line, "--leader-elect-lease-duration=500ms"])
    assert '"500ms": want whole seconds' in capsys.readouterr().err
