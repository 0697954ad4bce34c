"""From a Keras layer to operations of the spec: one file a family, as in `jaxviz.spec`."""

from converters.layers import (  # noqa: F401 - each registers its converters
    activation,
    attention,
    conv,
    elementwise,
    image,
    layout,
    norm,
    operations,
    passthrough,
    pool,
    rearranging,
    refused,
    repeating,
    tensorflow_ops,
)
from converters.layers.call import LayerCall, Slot, UnknownInput, Unsupported, Value
from converters.layers.registry import converter_of, converts

__all__ = ["LayerCall", "Slot", "UnknownInput", "Unsupported", "Value", "converter_of", "converts"]
