"""A pod's web server."""

from __future__ import annotations

import http.client
import subprocess
import sys
from pathlib import Path

import pytest
from support.isolated import isolated
from support.patience import PATIENCE

from metallb_py.lab import network
from metallb_py.lab.processes import Programs, wait_until

pytestmark = pytest.mark.netns


def get(path: str) -> tuple[int, str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", 8080, timeout=PATIENCE)
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.headers["Content-Length"], answer.read().decode()


def is_up() -> bool:
    try:
        return get("/")[0] == 200
    except OSError:
        return False


def test_every_path_is_the_name(tmp_path: Path) -> None:
    def look() -> list[tuple[int, str, str]]:
        network.build()
        with Programs(tmp_path) as programs:
            line = [sys.executable, "-m", "metallb_py.lab.page", "pod7", "8080"]
            wait_until("page", PATIENCE, is_up, programs.start("page", *line))
            return [get("/"), get("/else/where?x=1")]

    assert isolated(look) == [(200, "5", "pod7\n"), (200, "5", "pod7\n")]


def test_without_a_port_it_ends() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "metallb_py.lab.page"], capture_output=True, check=False
    )
    assert done.returncode != 0
