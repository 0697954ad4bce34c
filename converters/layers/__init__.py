"""From a Keras layer to operations of the spec: one file a family, as in `jaxviz.spec`."""

from converters.layers import activation, conv, elementwise, layout, norm, passthrough, pool
from converters.layers.call import LayerCall, Slot, UnknownInput, Unsupported, Value
from converters.layers.registry import Converter, converter_of, converts

__all__ = [
    "Converter", "LayerCall", "Slot", "UnknownInput", "Unsupported", "Value",
    "activation", "conv", "converter_of", "converts", "elementwise", "layout", "norm", "passthrough",
    "pool",
]  # fmt: skip
