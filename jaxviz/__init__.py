"""jaxviz: filter atlases of trained Keras CNNs, in JAX."""

from __future__ import annotations

__version__ = "0.1.0"
