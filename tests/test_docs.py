"""Documentation against the tree: links, configuration keys, flags, metrics, Events."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import controller.cli
import speaker.cli
from controller.assignment import Reason
from controller.metrics import ControllerMetrics
from metallb_py.config.communities import WELL_KNOWN
from metallb_py.config.yaml.schema import SCHEMA
from speaker.metrics import BfdMetrics, MemberMetrics, PasswordMetrics, SpeakerMetrics

ROOT = Path(__file__).parent.parent
TESTS = ROOT / "tests" / "README.md"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Reason for a Service that is not the controller's: in the log alone.
UNRECORDED = {Reason.NOT_LOAD_BALANCER}
DOCS = ROOT / "docs"
BGP = (DOCS / "bgp.md").read_text()
CONFIGURATION = (DOCS / "configuration.md").read_text()
METRICS_AND_EVENTS = (DOCS / "metrics-and-events.md").read_text()
OPERATIONS = (DOCS / "operations.md").read_text()
FOLDERS = ("metallb_py", "speaker", "controller", "config", "manifests", "tests", ".ci")
# A file that a page names, whole or by the last parts of its path.
NAMED_FILE = re.compile(r"`([\w./-]*/[\w.-]+\.(?:py|yaml))`")
LINK = re.compile(r"\]\(([^)#]*)(?:#([^)]*))?\)")


def anchors(page: Path) -> set[str]:
    """Return the link anchors of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^-\w ]", "", heading).lower().replace(" ", "-") for heading in headings}


def links_in(page: Path) -> list[tuple[str, str]]:
    """Return path and anchor of a page's links within the tree."""
    return [link for link in LINK.findall(page.read_text()) if "://" not in link[0]]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_have_existing_targets(page: Path) -> None:
    for path, anchor in links_in(page):
        target = page.parent / path if path else page
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), anchor


def test_every_file_that_a_page_names_exists() -> None:
    files = [f"/{path.relative_to(ROOT)}" for each in FOLDERS for path in (ROOT / each).rglob("*")]
    named = {name for page in [*PAGES, TESTS] for name in NAMED_FILE.findall(page.read_text())}
    assert len(named) > 20
    assert {name for name in named if not any(file.endswith(f"/{name}") for file in files)} == set()


def test_some_links_have_paths_and_some_have_anchors() -> None:
    links = [link for page in PAGES for link in links_in(page)]
    assert any(path for path, _ in links)
    assert any(anchor for _, anchor in links)


@pytest.mark.parametrize("type_name", ["peer", "bgpAdvertisement"])
def test_every_bgp_key_is_documented(type_name: str) -> None:
    documented = set(re.findall(r"^\| `([-a-z0-9]+)` \|", BGP, re.MULTILINE))
    assert SCHEMA[type_name].keys() <= documented
    assert documented <= SCHEMA["peer"].keys() | SCHEMA["bgpAdvertisement"].keys()


@pytest.mark.parametrize("name", WELL_KNOWN)
def test_every_well_known_community_is_documented(name: str) -> None:
    assert f"`{name}`" in BGP


@pytest.mark.parametrize("type_name", ["configFile", "addressPool", "labelSelector", "bfdProfile"])
def test_every_other_key_is_documented(type_name: str) -> None:
    assert SCHEMA[type_name].keys() <= rows(CONFIGURATION)


def rows(page: str) -> set[str]:
    """Return the names in the first cells of a page's tables."""
    cells = re.findall(r"^\| (`[^|]*`) \|", page, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


@pytest.mark.parametrize("daemon", ["speaker", "controller"])
def test_every_flag_is_documented(daemon: str) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", daemon, "--help"], capture_output=True, text=True, check=True
    )
    flags = set(re.findall(r"^  -\S+.*, (--[-a-z0-9]+)", shown.stdout, re.MULTILINE)) - {"--help"}
    assert len(flags) > 10
    documented = re.findall(r"^\| `(--[-a-z0-9]+)` \| (\w+)", OPERATIONS, re.MULTILINE)
    assert {flag for flag, where in documented if where in (daemon, "both")} == flags


# Flags without which a daemon does not start, or another flag has no effect.
SPEAKER = ("--node-name=node", "--namespace=system")
GOSSIP = ("--membership=memberlist", "--ml-bindaddr=192.0.2.1", "--ml-secret-key=secret")
STARTS = {
    "controller": (controller.cli.parse, (("--namespace=system", "--leader-elect"),)),
    "speaker": (speaker.cli.parse, ((*SPEAKER, *GOSSIP), (*SPEAKER, "--membership=lease"))),
}


@pytest.mark.parametrize("daemon", STARTS)
def test_documented_default_of_a_flag_is_its_default(daemon: str) -> None:
    parse, starts = STARTS[daemon]
    found = re.findall(
        rf"^\| `(--[-a-z0-9]+)` \| (?:both|{daemon}) \| (?:`([^`A-Z]+)`|(\d+|none)) \|",
        OPERATIONS,
        re.MULTILINE,
    )
    assert len(found) > 10
    for flag, quoted, plain in found:
        default = quoted or plain.removeprefix("none")
        for given in starts:
            if flag not in {each.partition("=")[0] for each in given}:
                assert parse([*given, f"{flag}={default}"]) == parse([*given]), flag


def test_every_metric_is_documented_with_its_type() -> None:
    speaker, controller = SpeakerMetrics(), ControllerMetrics()
    PasswordMetrics(speaker)
    BfdMetrics(speaker)
    MemberMetrics(speaker)
    pages = "".join(metrics.render()[0].decode() for metrics in (speaker, controller))
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)", pages, re.MULTILINE))
    types = {name: kind for name, kind in types.items() if not name.startswith("process_")}
    documented = re.findall(r"^\| `(\w+_\w+)` \| (\w+) \|", METRICS_AND_EVENTS, re.MULTILINE)
    assert dict(documented) == types


def test_every_event_is_documented() -> None:
    source = "".join(
        path.read_text()
        for package in ("speaker", "controller", "metallb_py")
        for path in (ROOT / package).rglob("*.py")
    )
    reasons = set(re.findall(r'EventType\.\w+, "(\w+)"', source))
    assert len(reasons) > 8
    assert reasons | {reason.value for reason in Reason} - UNRECORDED <= rows(METRICS_AND_EVENTS)
