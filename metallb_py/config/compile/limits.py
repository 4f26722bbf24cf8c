"""What a configuration may hold: far more than a cluster has.

A daemon's memory and time follow from these.
"""

from __future__ import annotations

MAX_POOLS = 5000
MAX_PEERS = 5000
MAX_ITEMS = 1000
"""Of every other list of mappings."""
MAX_BLOCKS = 20_000
"""Prefixes of all pools together; a range of IPv6 addresses can be 254 of them."""
MAX_DRAINING_BLOCKS = 5 * MAX_BLOCKS
"""Prefixes of all pools that drain: they may have left several configurations."""
MAX_ADVERTISEMENTS = 10_000
"""Of all pools together."""
MAX_PREPEND = 16
"""How often the own AS number may be repeated."""
MAX_PASSWORD_BYTES = 80
"""Linux's TCP_MD5SIG_MAXKEYLEN (RFC 2385 has no limit)."""
