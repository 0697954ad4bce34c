"""The Flax model: runs a spec's graph to any of its layers."""

from jaxviz.model.graph import Model, node_weights, run

__all__ = ["Model", "node_weights", "run"]
