"""Encoding and decoding of BGP messages (RFC 4271 section 4 and extensions).

``framing`` splits the byte stream into frames; ``messages`` is the entry point for whole messages.
``update`` handles prefixes and next hops, ``attributes`` path attributes,
``capabilities`` those of an OPEN, and ``codes`` the numbers and BgpError.

Decoders raise BgpError, which contains the NOTIFICATION to send, and nothing else; malformed
UPDATEs are handled by RFC 7606. Encoders raise LocalProtocolError for what the format cannot
express. Pure; imports ``addresses``, ``errors``, ``byte_reader`` and ``model.peers`` only.
"""
