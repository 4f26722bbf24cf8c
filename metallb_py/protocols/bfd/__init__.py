"""Bidirectional Forwarding Detection without I/O (RFC 5880, RFC 5881, RFC 5883).

The entry point is ``sessions.Sessions``: all sessions of a node, with the selection of the session
for each received packet. ``session`` is the state machine of one session in asynchronous mode
without authentication, ``packet`` the codec, and ``settings`` has the configuration and the effects
that a driver performs. Echo packets of the peer are returned; none are sent.

Pure: no asyncio, socket, time, random or os. Times are monotonic seconds, intervals microseconds.
Imports ``addresses`` and ``errors`` only.
"""
