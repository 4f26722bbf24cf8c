"""Routes to one peer: the Adj-RIB-Out, and the messages that advertise it (RFC 4271 section 3.2).

The entry point is ``update_sender.UpdateSender``, which ``bgp.session`` drives. ``adj_rib_out``
computes the changes between desired and advertised routes, ``path_attributes`` derives
the attributes and next hops, which depend on the session, and ``update_packing`` fills UPDATEs with
prefixes of equal attributes.

Pure; imports ``codec`` and ``negotiation``, but not ``session``. RFCs: 2545 and 8950 (next hops),
2918 and 7313 (route refresh), 4724 (End-of-RIB), 8326 (graceful shutdown).
"""
