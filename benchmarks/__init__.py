"""Benchmarks of jaxviz beside its peers: one question a script; `benchmarks/run` lists them."""
