"""BGP speaker for one peer, without I/O (RFC 4271).

The entry point is ``connections.Connections``: all connections with one peer, with collision
detection. It drives ``session.Session``, which performs the actions of the state table in ``fsm``
and returns the ``effects`` that a driver performs. ``negotiation`` computes the parameters of a
session from both OPENs, ``cease`` the messages of an administrative shutdown. ``codec`` encodes and
decodes messages; ``rib`` holds the Adj-RIB-Out and generates UPDATEs.

Pure: no asyncio, socket, time, random or os. Further RFCs: 2918 and 7313 (route refresh), 4486,
8538, 9003 and 9384 (Cease), 4724 (graceful restart), 4760 (multiprotocol), 5492 (capabilities),
6286 (BGP Identifier), 6793 (4-octet AS numbers), 7606 (error handling), 8326 (graceful shutdown),
8654 (extended messages), 8950 (IPv4 with IPv6 next hops), 9687 (SendHoldTimer).
"""
