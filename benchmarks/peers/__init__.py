"""Peers that do the same step, each in a process of its own; only `own` imports jaxviz."""
