"""The lab command: its proofs hold with every set of parts, and nothing remains afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from support.kube.lab_command import ROOT, Proof, kept_lab, leftovers, proofs, run_lab
from support.net.requirements import require
from support.net.waiting import poll_until

from metallb_py.lab.binaries import find, find_kubernetes
from metallb_py.lab.routers import FRR_FOLDER

pytestmark = pytest.mark.e2e
NOTHING: tuple[list[str], list[str]] = ([], [])
# The parts that need nothing installed but Python.
FROM_NOTHING = ("--control-plane=embedded", "--router=builtin", "--proxy=relay")
OLDEST = "--kubernetes-version=1.20"
REAL = ("--control-plane=real", "--router=frr", "--proxy=kube-proxy")


def check(found: list[Proof], *, forwards: bool) -> None:
    """Check that the table shows every proof of config/lab.yaml, all held."""
    assert [proof for proof in found if not proof.held] == []
    texts = {(proof.service, proof.text.partition(":")[0]) for proof in found}
    wanted = {
        ("on-the-wire", "address in status"),
        ("on-the-wire", "one node answers ARP"),
        ("on-the-wire", "HTTP"),
        ("routed", "address in status"),
    }
    assert wanted <= texts
    assert any("has the /32 with 3 next hops" in text for _, text in texts)
    assert (("routed", "HTTP") in texts) is forwards


@pytest.mark.parametrize(
    ("options", "banner", "forwards"),
    [
        pytest.param(
            FROM_NOTHING,
            "embedded API server, built-in route collector, a TCP relay in kube-proxy's place",
            False,
            id="from-nothing",
        ),
        pytest.param(
            ("--control-plane=embedded", "--router=bird", "--proxy=nft"),
            "embedded API server, BIRD, nftables in kube-proxy's place",
            True,
            id="bird-nft",
        ),
        pytest.param(REAL, ", FRR, kube-proxy", True, id="real"),
        # The oldest supported: Endpoints in place of EndpointSlices.
        pytest.param((*REAL, OLDEST), "kube-apiserver 1.20.2, FRR, kube-proxy", True, id="oldest"),
    ],
)
def test_the_proofs_hold(
    options: tuple[str, ...], banner: str, forwards: bool, tmp_path: Path
) -> None:
    require("--router=bird" not in options or find("bird"), "BIRD")
    require("--proxy=nft" not in options or find("nft"), "nft")
    require("--router=frr" not in options or Path(FRR_FOLDER, "bgpd").exists(), "FRR")
    require("--control-plane=real" not in options or find_kubernetes(), "kube-apiserver")
    require(OLDEST not in options or find_kubernetes("1.20"), "kube-apiserver 1.20")
    require(os.geteuid() == 0, "root, for daemons with users of their own")
    started = time.monotonic()
    done = run_lab(*options, folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - started < 120
    assert done.stdout.splitlines()[0].endswith(banner)
    check(proofs(done.stdout), forwards=forwards)
    assert leftovers(tmp_path) == NOTHING


def test_the_proofs_hold_for_an_unprivileged_user(tmp_path: Path) -> None:
    require(os.geteuid() == 0, "root, to become another user")
    tmp_path.chmod(0o777)
    done = run_lab("--control-plane=embedded", folder=tmp_path, as_nobody=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "built-in route collector" in done.stdout.splitlines()[0]
    check(proofs(done.stdout), forwards=False)
    assert leftovers(tmp_path) == NOTHING


def test_failed_proof_is_reported_with_the_expectation_and_the_logs(tmp_path: Path) -> None:
    config, *_, service = yaml.safe_load_all((ROOT / "config/lab.yaml").read_text())
    service["metadata"]["annotations"]["metallb.universe.tf/address-pool"] = "none"
    file = tmp_path / "lab.yaml"
    file.write_text(yaml.safe_dump_all([config, service]))
    done = run_lab(*FROM_NOTHING, f"--config={file}", folder=tmp_path)
    assert done.returncode == 1
    (proof,) = proofs(done.stdout)
    assert (proof.service, proof.text, proof.held) == ("routed", "address in status", False)
    assert "controller| " in done.stdout
    assert 'unknown pool \\"none\\"' in done.stdout
    assert leftovers(tmp_path) == NOTHING


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--config=nowhere.yaml",), "lab: nowhere.yaml: No such file or directory"),
        (("--control-plane=real", "--kubernetes-version=0.1"), "lab: --control-plane=real: found"),
        (("exec", "true"), "no lab is up"),
    ],
)
def test_impossible_options_are_one_line_of_error(
    options: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    done = run_lab(*options, folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(message)
    assert len(done.stderr.splitlines()) == 1
    assert leftovers(tmp_path) == NOTHING


def test_missing_library_is_named() -> None:
    code = (
        "import sys; sys.modules['scapy'] = None\n"
        "from metallb_py.cli.__main__ import main\nmain(['lab'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 1
    assert done.stderr == "the lab needs scapy: pip install 'metallb-py[lab]'\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_sigint_and_sigterm_shut_the_lab_down(number: signal.Signals, tmp_path: Path) -> None:
    with kept_lab(tmp_path, *FROM_NOTHING) as lab:
        process = lab.process
        # Ctrl-C goes to the whole process group of the terminal, SIGTERM to the started process.
        target = _first_child(process.pid) if number == signal.SIGINT else process.pid
        os.kill(target, number)
        assert process.wait(20) == 0
    assert leftovers(tmp_path) == NOTHING


def test_killed_lab_leaves_no_process_and_the_next_run_cleans_up(tmp_path: Path) -> None:
    with kept_lab(tmp_path, *FROM_NOTHING) as lab:
        folders, processes = leftovers(tmp_path)
        assert len(folders) == 1
        assert len(processes) > 5
        lab.process.kill()
        lab.process.wait(20)
        poll_until(lambda: not leftovers(tmp_path)[1], what="every process is gone")
    run_lab("--config=nowhere.yaml", folder=tmp_path)  # the next run cleans up, even if it fails
    assert leftovers(tmp_path) == NOTHING


def _first_child(process: int) -> int:
    return int(Path(f"/proc/{process}/task/{process}/children").read_text().split()[0])
