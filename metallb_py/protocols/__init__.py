"""Network protocols as codecs and state machines without I/O.

``bgp``, ``bfd`` and ``memberlist`` are packages with an entry class each; the modules here are the
codecs for Ethernet, ARP (RFC 826), neighbor discovery (RFC 4861), router discovery, rtnetlink and
HTTP/1.1 (RFC 9112), and ``byte_reader``, the bounds-checked reader that decoders share.

Bytes and times go in, effects come out: nothing here imports asyncio, socket, time, random or os,
and callers pass the current time and random numbers as arguments. A decoder of untrusted bytes
raises its one documented error and nothing else. Of ``metallb_py`` only leaf modules are imported
(``addresses``, ``backoff``, ``rate_limit`` and ``errors``), and by BGP ``model.peers`` and
``model.route_attributes``.
"""
