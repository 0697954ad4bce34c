"""From a Keras layer to operations of the spec: one file a family, as in `jaxviz.spec`.

Every module of this folder is imported here, in alphabetical order, so a new file needs no
entry in a list.
"""

import importlib
import pkgutil

from converters.layers.call import LayerCall, Slot
from converters.layers.registry import converter_of, converts
from converters.layers.value import UnknownInput, Unsupported, Value

__all__ = ["LayerCall", "Slot", "UnknownInput", "Unsupported", "Value", "converter_of", "converts"]

for _module in sorted(found.name for found in pkgutil.iter_modules(__path__)):
    if _module != "__main__":
        importlib.import_module(f"{__name__}.{_module}")
