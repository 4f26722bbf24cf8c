"""Bundle of certificate authorities that several replicas maintain."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from metallb_py.runtime.pki import Authority, merge_bundle

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def made(days_ago: int, valid: int = 90) -> bytes:
    return Authority.create("x", NOW - days_ago * DAY, valid * DAY).certificate


def test_own_authorities_come_first_then_the_newest_others() -> None:
    own, old, new = made(5), made(20), made(1)
    assert merge_bundle([own], old + own + new, NOW, 10) == [own, new, old]
    assert merge_bundle([own], old + new, NOW, 2) == [own, new]
    assert merge_bundle([own], b"", NOW, 2) == [own]


def test_own_authorities_are_never_left_out() -> None:
    own = [made(0), made(60)]
    assert merge_bundle(own, made(1) + made(2), NOW, 2) == own


def test_expired_and_invalid_certificates_are_dropped() -> None:
    own, expired = made(0), made(10, valid=9)
    nonsense = b"-----BEGIN CERTIFICATE-----\nbm9uc2Vuc2U=\n-----END CERTIFICATE-----\n"
    assert merge_bundle([own], expired + nonsense + b"# a comment\n", NOW, 9) == [own]


def test_duplicate_certificates_are_merged() -> None:
    own, other = made(0), made(1)
    assert merge_bundle([own], other + b"\n" + other.rstrip(), NOW, 9) == [own, other]


def test_certificates_not_yet_valid_are_dropped() -> None:
    """One made by a clock that ran ahead would count as the newest for years."""
    own, other = made(0), made(1)
    assert merge_bundle([own], made(-3650) + other, NOW, 2) == [own, other]
