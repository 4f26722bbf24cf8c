"""``metallb-py lab --keep``: the commands that it prints, run as they are."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator

import pytest
from support.kube.lab_command import ROOT, KeptLab, environment, kept_lab, proofs
from support.net.requirements import find_kubectl, require
from support.net.waiting import poll_until

from metallb_py.lab.binaries import find

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeptLab]:
    parts = ("--control-plane=embedded", "--router=builtin", "--proxy=relay")
    with kept_lab(tmp_path_factory.mktemp("keep"), *parts) as lab:
        yield lab


def suggested(lab: KeptLab, what: str) -> str:
    """Return the command that the lab prints for a purpose."""
    (line,) = (line for line in lab.output.splitlines() if line.strip().startswith(what))
    return line.strip().removeprefix(what).strip()


def paste(lab: KeptLab, line: str, **more: str) -> str:
    done = subprocess.run(
        ["sh", "-c", line],
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
        cwd=ROOT,
        env=environment(lab.folder) | more,
    )
    assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
    return done.stdout


def address(lab: KeptLab) -> str:
    return proofs(lab.output)[0].address


def owner(lab: KeptLab) -> str:
    """Return the MAC that answers for the layer2 service, empty without an answer."""
    line = shlex.split(suggested(lab, "resolve an address by ARP").replace("-c 3", "-c 1 -w 1"))
    output = subprocess.run(
        line, capture_output=True, text=True, check=False, cwd=ROOT, env=environment(lab.folder)
    ).stdout
    return output.partition("[")[2].partition("]")[0]


def test_kubectl_sees_the_services(lab: KeptLab) -> None:
    require(find_kubectl(), "kubectl")
    output = paste(lab, suggested(lab, "see the services"))
    assert {"on-the-wire", "routed"} <= {line.split()[0] for line in output.splitlines()}


def test_kubectl_edits_the_configuration_and_the_controller_reads_it(lab: KeptLab) -> None:
    require(find_kubectl(), "kubectl")
    (folder,) = lab.folder.glob("metallb-py-lab-*")
    log = folder / "controller.log"
    loaded = log.read_text().count("configLoaded")
    paste(lab, suggested(lab, "edit the configuration"), EDITOR="sed -i s/219/218/")
    poll_until(lambda: log.read_text().count("configLoaded") > loaded, what="a new configuration")


def test_arping_and_curl(lab: KeptLab) -> None:
    for program in ("arping", "curl"):
        require(find(program), program)
    assert "Received 3 response(s)" in paste(lab, suggested(lab, "resolve an address by ARP"))
    assert paste(lab, suggested(lab, "get a page through it")).strip() in {"pod1", "pod2"}


def test_suggested_command_shows_the_routers_routes(lab: KeptLab) -> None:
    assert "198.51.100." in paste(lab, suggested(lab, "show the router's routes"))


def test_killed_speaker_fails_over_and_takes_its_addresses_back(lab: KeptLab) -> None:
    require(find("arping"), "arping")
    before = poll_until(lambda: owner(lab))
    failing = suggested(lab, "kill a speaker")
    line = next(line for line in lab.output.splitlines() if "one node answers ARP" in line)
    elected = next(word for word in line.split() if word.startswith("node"))
    paste(lab, failing.replace("speaker-node1", f"speaker-{elected}"))
    successor = poll_until(lambda: owner(lab) not in ("", before) and owner(lab), what="failover")
    assert successor != before
    poll_until(lambda: owner(lab) == before, what="its restart")


def test_killed_controller_is_restarted(lab: KeptLab) -> None:
    (folder,) = lab.folder.glob("metallb-py-lab-*")
    log = folder / "controller.log"
    starts = log.read_text().count("controller starting")
    assert lab("kill", "controller").returncode == 0
    poll_until(lambda: log.read_text().count("controller starting") > starts, what="its restart")


def test_only_commands_of_installed_programs_are_suggested(lab: KeptLab) -> None:
    assert ("kubectl" in lab.output) is bool(find_kubectl())
    assert ("arping" in lab.output) is bool(find("arping"))
    assert "vtysh" not in lab.output
