"""Process runtime of the daemons: start and end, tasks, flags, logs, metrics, and the HTTP port.

Entry points: ``tasks.run_with_signals`` runs the event loop, ``daemon.run_daemon`` connects to the
API server and reports the exit status, ``log.Logger`` writes MetalLB's JSON log lines,
``metrics`` has the Prometheus metrics, and ``httpd.Httpd`` serves them with the probes.

May do I/O and import ``metallb_py.kube`` and what is below it. The daemons' wiring imports it,
their pure modules do not. HTTP follows RFC 9110 and RFC 9112; the metrics page has Prometheus' text
exposition format 0.0.4.
"""
