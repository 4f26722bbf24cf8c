"""Drivers of speaker membership: sockets, threads and requests to the API server.

Entry points: ``gossip_thread.Gossip`` runs a member of the gossip cluster in a thread of its own;
``lease_driver.LeaseMembers`` renews this node's Lease and watches the others. ``gossip_transport``
and ``inbound`` are the sockets of that member, around ``memberlist.Memberlist``.

The package may import asyncio, socket and time. Decisions are made by the pure machines in
metallb_py/protocols/memberlist and ``speaker.membership.lease_detector``; the drivers perform their
effects.
"""
