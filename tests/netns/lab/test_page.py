"""A pod's web server."""

from __future__ import annotations

import http.client
import subprocess
import sys
from pathlib import Path

import pytest
from support.net.isolated import isolated
from support.net.waiting import TIMEOUT

from metallb_py.lab import network
from metallb_py.lab.processes import Programs, wait_until

pytestmark = pytest.mark.netns


def get(path: str) -> tuple[int, str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", 8080, timeout=TIMEOUT)
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.headers["Content-Length"], answer.read().decode()


def is_up() -> bool:
    try:
        return get("/")[0] == 200
    except OSError:
        return False


def test_every_path_returns_the_name(tmp_path: Path) -> None:
    def look() -> list[tuple[int, str, str]]:
        network.build()
        with Programs(tmp_path) as programs:
            line = [sys.executable, "-m", "metallb_py.lab.page", "pod7", "8080"]
            wait_until("page", TIMEOUT, is_up, programs.start("page", *line))
            return [get("/"), get("/else/where?x=1")]

    assert isolated(look) == [(200, "5", "pod7\n"), (200, "5", "pod7\n")]


def test_missing_port_is_an_error() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "metallb_py.lab.page"], capture_output=True, check=False
    )
    assert done.returncode != 0
