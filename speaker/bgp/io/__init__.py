"""Sockets, tasks and API requests of the speaker's BGP side.

Entry point: ``sessions.BgpSpeaker``, which runs one ``session_driver.BgpSession`` for each peer
and, where it is configured, a ``listener.BgpListener``. ``router_discovery`` finds unnumbered
peers (RFC 4861), ``secrets`` reads the Secrets with passwords. This package may import asyncio
and socket; it decides nothing itself: the decisions are in ``speaker.bgp`` and in
``metallb_py.protocols.bgp``.
"""
