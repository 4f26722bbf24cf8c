"""Layer 2 decisions in the speaker: which node answers for an address. Pure.

Entry points: ``eligibility.eligible`` (the verdict for one node) and ``election.ranked``
(MetalLB's election). ``candidates`` reads Nodes and pods, ``topology`` the interfaces that
speakers publish, ``ownership`` counts the addresses of this node, ``conflicts`` limits the reports
of address conflicts.

The package imports pure modules of ``metallb_py`` alone, and neither asyncio, socket, time, random
nor os (contracts in setup.cfg). Packets are sent and received by ``speaker.responder``, in another
process. Documents: docs/layer2.md, RFC 5227 for conflicts.
"""
