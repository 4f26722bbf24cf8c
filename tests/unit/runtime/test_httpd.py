"""Response text of the probes' endpoints."""

from __future__ import annotations

from metallb_py.runtime.httpd import Check, render


def test_every_health_check_is_one_line() -> None:
    checks = (Check("state", ok=True, detail="x"), Check("config", ok=False, detail="none yet"))
    assert render("readyz", checks) == (
        "[+]state ok\n[-]config failed: none yet\nreadyz check failed\n"
    )
    assert render("healthz", checks[:1]) == "[+]state ok\nhealthz check passed\n"
