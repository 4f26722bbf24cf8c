"""The controller's command line."""

from __future__ import annotations

import pytest

from controller.cli import parse
from controller.orphaned_addresses import OrphanPolicy


def test_metallbs_own_manifest_starts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METALLB_ML_SECRET_NAME", "memberlist")
    monkeypatch.setenv("METALLB_DEPLOYMENT", "controller")
    monkeypatch.setenv("METALLB_NAMESPACE", "metallb-system")
    options = parse(["--port=7472", "--config=config", "--log-level=info"])
    assert options.common.namespace == "metallb-system"
    assert options.load_balancer_class == ""
    assert (options.memberlist_secret, options.deployment) == ("memberlist", "controller")
    assert options.lease_seconds == 0, "its Role knows no leases"


def test_serves_another_class_on_request() -> None:
    assert parse(["--namespace=x", "--lb-class=ours"]).load_balancer_class == "ours"


def test_without_a_namespace_it_does_not_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("METALLB_NAMESPACE", raising=False)
    with pytest.raises(SystemExit) as end:
        parse([])
    assert end.value.code == 2
    assert "want the ConfigMap's namespace" in capsys.readouterr().err


def test_what_happens_to_orphaned_addresses_is_the_operators_choice(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert parse(["--namespace=x"]).orphaned_addresses is OrphanPolicy.DRAIN
    line = ["--namespace=x", "--orphaned-addresses=renumber"]
    assert parse(line).orphaned_addresses is OrphanPolicy.RENUMBER
    with pytest.raises(SystemExit):
        parse(["--namespace=x", "--orphaned-addresses=forget"])
    assert '"forget": want one of drain, refuse, renumber' in capsys.readouterr().err


def test_replicas_elect_a_leader_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    line = ["--namespace=x", "--leader-elect"]
    assert parse(line).lease_seconds == 2
    assert parse([*line, "--leader-elect-lease-duration=15s"]).lease_seconds == 15
    assert parse(["--namespace=x", "--leader-elect=false"]).lease_seconds == 0
    with pytest.raises(SystemExit):
        parse([*line, "--leader-elect-lease-duration=500ms"])
    assert '"500ms": want whole seconds' in capsys.readouterr().err
