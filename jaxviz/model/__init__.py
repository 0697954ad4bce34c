"""The network: runs a spec's graph to any of its layers, as a function or a Flax module."""

from typing import TYPE_CHECKING, Any

from jaxviz.model.graph import node_weights, run

if TYPE_CHECKING:
    from jaxviz.model.module import Model

__all__ = ["Model", "node_weights", "run"]


def __getattr__(name: str) -> Any:
    if name != "Model":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Flax takes 0.4 s to import, and an atlas never needs Flax.
    from jaxviz.model.module import Model

    return Model
