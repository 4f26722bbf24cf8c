"""How examples are tried: without a deadline, for a busy machine is no failure."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("metallb", settings(deadline=None))
settings.load_profile("metallb")
