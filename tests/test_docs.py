"""What the documentation says of the tree: every link leads somewhere, every key is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from metallb_py.config.communities import WELL_KNOWN
from metallb_py.config.yaml.schema import SCHEMA

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BGP = (ROOT / "docs" / "bgp.md").read_text()
LINK = re.compile(r"\]\(([^)#]*)(?:#([^)]*))?\)")


def anchors(page: Path) -> set[str]:
    """Return what the headings of a page are called in links."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^-\w ]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text()) if "://" not in link[0]]
    assert links
    for path, anchor in links:
        target = page.parent / path if path else page
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), anchor


@pytest.mark.parametrize("type_name", ["peer", "bgpAdvertisement"])
def test_every_bgp_key_is_documented(type_name: str) -> None:
    documented = set(re.findall(r"^\| `([-a-z0-9]+)` \|", BGP, re.MULTILINE))
    assert SCHEMA[type_name].keys() <= documented
    assert documented <= SCHEMA["peer"].keys() | SCHEMA["bgpAdvertisement"].keys()


@pytest.mark.parametrize("name", WELL_KNOWN)
def test_every_well_known_community_is_documented(name: str) -> None:
    assert f"`{name}`" in BGP
