"""Decoding of the ConfigMap's YAML text into raw records with line numbers.

``schema.decode`` is the entry point. ``document`` builds a tree of nodes from PyYAML's events,
``scalars`` converts a node to a value of a given type like Go's yaml.v2 (MetalLB's decoder), and
``schema`` applies both to MetalLB 0.12's schema and its extensions. Nothing is interpreted here:
``metallb_py.config.compile`` checks the values and their relations.

Pure: imports PyYAML, and of ``metallb_py.config`` only ``problems`` and the limits.
"""
