"""Passwords from Secrets: peers that have one, peers that wait, and passwords that stay."""

from __future__ import annotations

from base64 import b64encode
from ipaddress import ip_address

import pytest

from metallb_py.model.config import Config
from metallb_py.model.peers import Peer, SecretKey, SessionParameters
from metallb_py.model.selectors import LabelSelector, Operator, Requirement
from speaker.bgp.passwords import (
    Contents,
    Password,
    PasswordProblem,
    SecretUnavailable,
    needed,
    read_password,
    resolve_passwords,
)

WHERE = SecretKey("tor", "password")
ELSEWHERE = SecretKey("spine", "md5")
RACK = LabelSelector(frozenset({Requirement("rack", Operator.IN, frozenset({"1"}))}))


def peer(number: int, secret: SecretKey | None = None, **more: object) -> Peer:
    session = SessionParameters(1, 2, ip_address(f"10.0.0.{number}"))
    return Peer(session, password_secret=secret, **more)  # type: ignore[arg-type]


def secret(**data: bytes) -> Contents:
    return Contents({key: b64encode(value).decode() for key, value in data.items()})


def test_a_password_is_read() -> None:
    found = read_password(Password(), "password", secret(password=b"hunter2", other=b"x"))
    assert found == Password("hunter2")
    assert "hunter2" not in repr(found)
    assert b64encode(b"hunter2").decode() not in repr(secret(password=b"hunter2"))


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_a_line_break_at_the_end_is_removed(ending: bytes) -> None:
    assert read_password(Password(), "a", secret(a=b" x y " + ending)) == Password(" x y ")


@pytest.mark.parametrize(
    ("outcome", "problem"),
    [
        (SecretUnavailable("there is no such Secret"), "there is no such Secret"),
        (secret(other=b"x"), 'it has no key "password"'),
        (secret(password=b""), 'key "password" is empty'),
        (secret(password=b"\n"), 'key "password" is empty'),
        (secret(password=b"\xff"), 'key "password" holds no UTF-8 text'),
        (Contents({"password": "hunter2!"}), 'key "password" holds no UTF-8 text'),
    ],
)
def test_the_previous_password_stays_while_the_secret_is_unusable(
    outcome: Contents | SecretUnavailable, problem: str
) -> None:
    assert read_password(Password(), "password", outcome) == Password("", problem)
    assert read_password(Password("a"), "password", outcome) == Password("a", problem)


def test_a_usable_secret_ends_the_problem() -> None:
    before = Password("old", "there is no such Secret")
    assert read_password(before, "password", secret(password=b"new")) == Password("new")


def test_only_the_peers_of_this_node_need_their_secrets() -> None:
    config = Config(peers=(peer(1), peer(2, WHERE), peer(3, ELSEWHERE, node_selectors=(RACK,))))
    assert needed(config, {}) == {WHERE}
    assert needed(config, {"rack": "1"}) == {WHERE, ELSEWHERE}


def test_a_peer_without_its_password_waits_and_others_do_not() -> None:
    config = Config(peers=(peer(1), peer(2, WHERE), peer(3, ELSEWHERE)))
    resolved = resolve_passwords(config, {}, {ELSEWHERE: Password("x")})
    assert [(str(p.session.address), p.session.password) for p in resolved.config.peers] == [
        ("10.0.0.1", ""),
        ("10.0.0.3", "x"),
    ]
    assert resolved.problems == ()  # the Secret was not read yet


def test_password_problems_name_the_peer_and_whether_it_waits() -> None:
    config = Config(peers=(peer(2, WHERE), peer(3, ELSEWHERE)))
    known = {WHERE: Password("", "gone"), ELSEWHERE: Password("x", "gone")}
    resolved = resolve_passwords(config, {}, known)
    assert [p.session.password for p in resolved.config.peers] == ["x"]
    assert resolved.problems == (
        PasswordProblem("10.0.0.2:179", WHERE, "gone", waits=True),
        PasswordProblem("10.0.0.3:179", ELSEWHERE, "gone", waits=False),
    )


def test_a_peer_of_other_nodes_stays_as_it_is() -> None:
    elsewhere = peer(3, ELSEWHERE, node_selectors=(RACK,))
    resolved = resolve_passwords(Config(peers=(elsewhere,)), {}, {})
    assert resolved.config.peers == (elsewhere,)
