"""BGP in the speaker: the sessions of this node, and the routes that each peer gets.

The modules of this package are pure: they import no asyncio, socket, time, random or os. Entry
points are ``peering.peering_for`` (sessions from the configured peers and the node's labels),
``route_table.RouteTable`` (routes of the announced services), ``passwords.resolve_passwords`` and
``shutdown.shutdown_mode``. ``io.sessions.BgpSpeaker`` holds the sessions. The protocol (RFC 4271
and its extensions) is in ``metallb_py.protocols.bgp``. Of the speaker, this package imports
``speaker.layer2`` and, in ``io`` alone, ``speaker.linux``; docs/bgp.md describes the features.
"""
