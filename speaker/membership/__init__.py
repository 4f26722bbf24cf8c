"""Detection of usable speakers: by memberlist gossip, by Leases, or by Ready pods.

Entry point: ``choose.choose_membership`` returns an ``interface.Membership`` for the settings that
``--membership`` chose (``flags``, ``settings``): ``gossip.GossipMembership``,
``io.lease_driver.LeaseMembership`` or ``ready_pods.ReadyPods``.

Pure modules: ``join_scheduler``, ``lease_detector``, ``interface`` and ``settings``. The
implementations run on asyncio, and use sockets and the Kubernetes API through ``io``. The package
imports metallb_py and, of the speaker, ``layer2.topology``, ``linux.datagrams``
and ``metrics``.
Documents: hashicorp/memberlist for gossip, coordination.k8s.io/v1 for Leases, MetalLB's flags.
"""
