"""The pages of `docs/design/performance` that are made from `benchmarks/results`."""
