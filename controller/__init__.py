"""The controller: assigns addresses from the configured pools to Services of type LoadBalancer.

It replaces MetalLB's controller. ``__main__`` starts the process and ``replica`` runs its tasks:
metrics, webhook, and leader election or a single term. For the leader, ``app`` connects the state
machine, ``core.Controller`` (events in, effects out), to the API server. The core decides with
``requests``, ``assignment`` and ``allocator``. ``plan`` and ``explain`` run the same core on a
snapshot, for the webhook and for the commands.

``__main__``, ``cli``, ``app``, ``replica`` and ``drivers`` do I/O; ``config_record`` and
``options`` may import modules that do. All other modules are pure: they import no asyncio, socket,
time, random or os. Nothing here imports ``speaker``. The import contracts are in setup.cfg.
docs/differences.md lists what differs from MetalLB 0.12.1.
"""
