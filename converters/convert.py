"""From an opened model to a bundle: the architecture lowered, its weights bound."""

from __future__ import annotations

from converters.bind import bind
from converters.lower import lower
from converters.network import Network
from converters.weights import Store
from jaxviz.bundle import Bundle
from jaxviz.spec import Source


def convert(network: Network, store: Store, source: Source, until: str | None = None) -> Bundle:
    """Convert a network and its weights.

    Args:
        network: The architecture.
        store: The arrays.
        source: Where the model came from, for the spec.
        until: Name of the last node to keep; everything after it is left out.

    Raises:
        ConversionError: If layers cannot be converted, or arrays do not match their layers;
            the error names every one of them.
        LayerError: If `until` does not exist.
        ModelFileError: If the network contradicts itself.
    """
    lowered = lower(network, source, until)
    return Bundle(lowered.spec, bind(lowered, network, store))
