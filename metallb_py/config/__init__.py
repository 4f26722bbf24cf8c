"""MetalLB's ConfigMap: YAML text in, a frozen model out, or every problem that it has.

``compile.read_config`` is the way in.
"""
