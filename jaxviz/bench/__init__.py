"""How fast a device makes pictures: `jaxviz bench`, and what `benchmarks/` measures with."""
