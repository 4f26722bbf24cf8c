"""Limits of a configuration's size, in one place because they bound a daemon's memory and time.

Each is far more than a cluster needs.
"""

from __future__ import annotations

MAX_POOLS = 5000
MAX_PEERS = 5000
MAX_ITEMS = 1000
"""Items of every other list of mappings."""
MAX_BLOCKS = 20_000
"""Prefixes of all pools together; one range of IPv6 addresses can be up to 254 prefixes."""
MAX_DRAINING_BLOCKS = 5 * MAX_BLOCKS
"""Prefixes of all draining pools, which may come from several earlier configurations."""
MAX_ADVERTISEMENTS = 10_000
"""Advertisements of all pools together."""
MAX_PREPEND = 16
"""Number of times that the own AS number may be repeated in AS_PATH."""
MAX_PASSWORD_BYTES = 80
"""Linux's TCP_MD5SIG_MAXKEYLEN; RFC 2385 has no limit."""
