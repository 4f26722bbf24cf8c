"""The validated configuration and its meaning, whatever format it was written in.

``config.Config`` is the root record: pools, and the peers and BFD profiles of ``peers``, with
MetalLB 0.12's defaults. Each front end (``metallb_py.config`` is the one for the ConfigMap)
compiles to it, and the daemons decide from it. ``routes`` derives the BGP routes of each peer group
from the advertised services, with the path attributes of ``route_attributes``. The other modules
are the parts of the model: selectors (Kubernetes), pool access, interface names and their RE2
patterns, and an index of prefixes.

Pure: imports the leaf modules of ``metallb_py`` and RE2; no asyncio, socket, time, random or os.
"""
