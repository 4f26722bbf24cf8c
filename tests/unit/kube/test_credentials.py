"""Service account token of a pod, under changes of its file and of the clock."""

from __future__ import annotations

from pathlib import Path

import pytest

from metallb_py.kube.credentials import REREAD_SECONDS, TokenFile, in_cluster


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("first")
    return path


def test_token_is_reread_periodically(path: Path) -> None:
    token = TokenFile(path, pytest.fail)
    assert token.header(0.0) == "Bearer first"
    path.write_text("second")
    assert token.header(REREAD_SECONDS - 1) == "Bearer first"
    assert token.header(REREAD_SECONDS) == "Bearer second"


def test_refused_token_is_reread_at_once(path: Path) -> None:
    token = TokenFile(path, pytest.fail)
    assert not token.refused(token.header(0.0), 1.0), "the file has no other token"
    path.write_text("second")
    assert token.refused("Bearer first", 2.0)
    assert token.header(2.0) == "Bearer second"


@pytest.mark.parametrize("text", ["first\n", " first \r\n", "first\n\n"])
def test_white_space_around_the_token_is_stripped(path: Path, text: str) -> None:
    path.write_text(text)
    assert TokenFile(path, pytest.fail).header(0.0) == "Bearer first"


@pytest.mark.parametrize(
    "data",
    [b"", b"\n", b"\xff\xfe", "tökén".encode(), b"a\nb", b"a b", b"\0", b"x" * 100_000, None],
)
def test_last_valid_token_stays_in_use_while_the_file_has_none(
    path: Path, data: bytes | None
) -> None:
    problems: list[str] = []
    token = TokenFile(path, problems.append)
    token.header(0.0)
    if data is None:
        path.unlink()
    else:
        path.write_bytes(data)
    for number in range(1, 5):
        assert token.header(number * REREAD_SECONDS) == "Bearer first"
    assert len(problems) == 1, "reported once"
    assert str(path) in problems[0]
    path.write_text("second")
    assert token.header(9 * REREAD_SECONDS) == "Bearer second"


def test_a_problem_never_quotes_the_token(path: Path) -> None:
    path.write_text("s3cr\x00t")
    problems: list[str] = []
    assert TokenFile(path, problems.append).header(0.0) == ""
    assert "s3cr" not in problems[0]


def test_missing_token_is_read_as_soon_as_its_file_exists(path: Path) -> None:
    path.unlink()
    token = TokenFile(path, lambda _: None)
    assert token.header(0.0) == ""
    path.write_text("late")
    assert token.header(0.1) == "Bearer late"


def test_in_cluster_access_from_environment_and_mounted_files(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ca.crt").write_text("certificates")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "2001:db8::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    found = in_cluster(pytest.fail, tmp_path)
    assert found.host == "https://[2001:db8::1]:443"
    assert found.authority == str(tmp_path / "ca.crt")
    assert found.token.header(0.0) == "Bearer first"
    (tmp_path / "ca.crt").write_text("")
    with pytest.raises(ValueError, match="want certificates"):
        in_cluster(pytest.fail, tmp_path)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    with pytest.raises(ValueError, match="KUBERNETES_SERVICE_HOST"):
        in_cluster(pytest.fail, tmp_path)
