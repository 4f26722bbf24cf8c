"""Drivers of the controller: the modules that do I/O for it and read the clock.

Entry points: ``StatusWriter`` (status of Services), ``StateWriter`` and ``StatusAnnotation``
(records of the configuration), ``Leadership`` (leader election by a Lease of
coordination.k8s.io/v1, with client-go's rules), ``Webhook`` with ``Reviewer`` and ``ReviewGate``
(validating webhook, admission.k8s.io/v1), ``ensure_secret`` (MetalLB's memberlist Secret).

The ``run`` of a driver works until it is cancelled; results go to a callback. Drivers may import
asyncio, ``metallb_py.kube``, ``metallb_py.runtime`` and the controller's pure modules, but not
``app``, ``replica``, ``config_record`` or ``options``, which are layers above them (setup.cfg).
"""
