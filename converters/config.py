"""Keras' JSON configurations, of every version, as a neutral `Network`.

Keras 2 writes a call as `[[layer, call, tensor, kwargs], …]`. Keras 3 writes the call's
arguments, with a history in place of each tensor. Files are untrusted: a missing value, or
one of the wrong type, raises a `ModelFileError` that names its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from converters import keras1
from converters.document import Json, need
from converters.network import Argument, Call, Layer, Network, Ref
from jaxviz.errors import ModelFileError

_DEEPEST_NESTING = 40
#: Larger numbers of calls and tensors in a reference are nonsense.
_LARGEST_INDEX = 1 << 20
#: How Keras 2 marks a constant that stands where a tensor is expected.
_CONSTANT = "_CONSTANT_VALUE"

Version = tuple[int, ...]


def parse_version(text: object) -> Version:
    """The numbers of a version such as `2.2.4-tf`; (0,) if there are none.

    Example:
        >>> parse_version("2.2.4-tf"), parse_version(None)
        ((2, 2, 4), (0,))
    """
    match = re.match(r"\d{1,4}(\.\d{1,4})*", text) if isinstance(text, str) else None
    return tuple(int(part) for part in match[0].split(".")) if match else (0,)


def parse_model(document: Json, version: Version) -> Network:
    """The network that a model's JSON describes.

    Args:
        document: The decoded content of `model.to_json()` or of `config.json`.
        version: Version of Keras that wrote the document.

    Raises:
        ModelFileError: If the document is not a Sequential or Functional model, or
            contradicts itself.
    """
    document = need(document, dict, "the model's configuration")
    if (0,) < version < (2,):
        document = keras1.translated(document)
    class_name = need(document.get("class_name"), str, "the model's class_name")
    network = _network(class_name, document.get("config"), version, _build_shape(document), depth=0)
    if network is None:
        raise ModelFileError(
            f"cannot read a {class_name}: only Sequential and Functional models "
            "store their architecture in the file",
            hint="Rebuild a subclassed model as a Functional model in Keras first.",
        )
    return network


def _build_shape(document: dict[str, Json]) -> Json:
    """The input shape with which Keras built a layer, if the file has it."""
    build = document.get("build_config")
    return build.get("input_shape") if isinstance(build, dict) else None


def _network(
    class_name: str, config: Json, version: Version, shape: Json, depth: int
) -> Network | None:
    """The network in a layer's configuration; None if the layer is not a model."""
    if depth > _DEEPEST_NESTING:
        raise ModelFileError(f"models are nested more than {_DEEPEST_NESTING} deep")
    if class_name == "Sequential":
        if isinstance(config, list):  # before Keras 2.2.3
            config = {"name": "sequential", "layers": config}
        config = need(config, dict, "the config of a Sequential")
        shape = config.get("build_input_shape") or shape
        return _sequential(config, version, shape, depth)
    if isinstance(config, dict) and isinstance(config.get("layers"), list):
        if "input_layers" in config and "output_layers" in config:
            return _functional(config, version, depth)
    return None


def _layer_documents(config: dict[str, Json], model: str) -> list[dict[str, Json]]:
    layers = need(config.get("layers"), list, f"the layers of model {model!r}")
    return [need(document, dict, f"a layer of model {model!r}") for document in layers]


def _sequential(config: dict[str, Json], version: Version, shape: Json, depth: int) -> Network:
    name = str(config.get("name", "sequential"))
    layers: list[Layer] = []
    for document in _layer_documents(config, name):
        calls: tuple[Call, ...] = (Call(()),)
        if layers:
            calls = (Call((Ref(layers[-1].name),)),)
        layer = _layer(document, calls, version, depth)
        if not layers and layer.class_name != "InputLayer":
            source = _implied_input(layer, document, shape)
            layers.append(source)
            layer = _layer(document, (Call((Ref(source.name),)),), version, depth)
        layers.append(layer)
    if not layers:
        raise ModelFileError(f"model {name!r} has no layers")
    _check_names(layers, name)
    return Network(name, tuple(layers), (Ref(layers[0].name),), (Ref(layers[-1].name),), version)


def _implied_input(first: Layer, document: dict[str, Json], shape: Json) -> Layer:
    """The input layer that a Sequential leaves out, its shape from the first place that has one."""
    places = [
        first.config.get("batch_input_shape"),
        first.config.get("batch_shape"),
        shape,
        _build_shape(document),
    ]
    if first.network is not None and first.class_name != "TimeDistributed":
        inner = {layer.name: layer for layer in first.network.layers}
        places += [
            inner[ref.layer].config.get(key)
            for ref in first.network.inputs
            if ref.layer in inner
            for key in ("batch_input_shape", "batch_shape")
        ]
    known = next((place for place in places if isinstance(place, list)), None)
    config: dict[str, Json] = {} if known is None else {"batch_shape": known}
    return Layer("InputLayer", f"{first.name}_input", config, (Call(()),))


def _functional(config: dict[str, Json], version: Version, depth: int) -> Network:
    name = str(config.get("name", "model"))
    documents = _layer_documents(config, name)
    names = {found for d in documents if isinstance(found := d.get("name"), str)}
    layers, keras3 = [], False
    for document in documents:
        nodes = need(document.get("inbound_nodes", []), list, "inbound_nodes")
        keras3 |= any(isinstance(node, dict) and "args" in node for node in nodes)
        calls = tuple(_call(node, names) for node in nodes) or (Call(()),)
        layers.append(_layer(document, calls, version, depth))
    _check_names(layers, name)
    inputs = tuple(_ends(config["input_layers"], f"input_layers of model {name!r}"))
    outputs = tuple(_ends(config["output_layers"], f"output_layers of model {name!r}"))
    if not inputs or not outputs:
        raise ModelFileError(f"model {name!r} has no inputs or no outputs")
    return _renumbered(Network(name, tuple(layers), inputs, outputs, version), keras3)


def _layer(
    document: dict[str, Json], calls: tuple[Call, ...], version: Version, depth: int
) -> Layer:
    class_name = need(document.get("class_name"), str, "a layer's class_name")
    config = document.get("config")
    network = _network(class_name, config, version, _build_shape(document), depth + 1)
    if not isinstance(config, dict):
        config = {}
    if class_name == "TimeDistributed":
        network = _wrapped(config, version, depth + 1)
    name = document.get("name", config.get("name"))
    name = network.name if name is None and network is not None else name
    module = document.get("module")
    operation = isinstance(module, str) and re.match(r"keras(\.src)?\.ops\b", module) is not None
    # Keras 3's HDF5 files leave the module out; only layers say whether they are trainable.
    bare = module is None and version >= (3,) and "trainable" not in config
    operation |= bare and network is None and class_name != "InputLayer"
    package, class_name = _origin(document, class_name)
    return Layer(
        class_name=class_name,
        name=need(name, str, f"the name of a {class_name}"),
        config=config,
        calls=calls,
        network=network,
        operation=operation,
        package="" if operation else package,
    )


def _origin(document: dict[str, Json], class_name: str) -> tuple[str, str]:
    """The package of a class, empty for Keras' own, and the bare class name.

    Keras 3 states the module, or the package in which the class is registered. tf.keras
    writes `package>Name`.
    """
    package, _, bare = class_name.rpartition(">")
    if ">" in str(document.get("registered_name")):
        package = str(document["registered_name"]).split(">")[0]
    module = document.get("module")
    if isinstance(module, str) and module.split(".")[0] not in ("keras", "tf_keras"):
        package = module.split(".")[0]
    return package, bare


def _wrapped(config: dict[str, Json], version: Version, depth: int) -> Network:
    """The model inside a wrapper; a plain layer becomes a model of one layer."""
    document = need(config.get("layer"), dict, "the layer in a wrapper")
    inner = _layer(document, (Call((Ref("step"),)),), version, depth)
    if inner.network is not None:
        return inner.network
    source = Layer("InputLayer", "step" if inner.name != "step" else "steps", {}, (Call(()),))
    inner = replace(inner, calls=(Call((Ref(source.name),)),))
    return Network(inner.name, (source, inner), (Ref(source.name),), (Ref(inner.name),), version)


def _call(node: Json, names: set[str]) -> Call:
    if isinstance(node, dict) and "args" in node:  # Keras 3
        args = need(node["args"], list, "a node's args")
        kwargs = need(node.get("kwargs", {}), dict, "a node's kwargs")
        return Call(
            tuple(_keras3_argument(a) for a in args),
            {key: _keras3_argument(value) for key, value in kwargs.items()},
        )
    if isinstance(node, dict):
        return Call(({key: _keras2_entry(entry).value for key, entry in sorted(node.items())},))
    node = need(node, list, "an inbound node")
    if len(node) in (3, 4) and isinstance(node[0], str):
        node = [node]
    entries = [_keras2_entry(entry) for entry in node]
    if not entries:
        return Call(())
    kwargs = {key: _keras2_argument(v, names) for key, v in entries[0].kwargs.items()}
    tensors = [entry.value for entry in entries]
    return Call((tensors[0] if len(tensors) == 1 else tensors,), kwargs)


def _keras3_argument(value: Json) -> Argument:
    if isinstance(value, list):
        return [_keras3_argument(item) for item in value]
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            config = need(value.get("config"), dict, "the config of a tensor")
            return _ref(config.get("keras_history"))
        return {key: _keras3_argument(item) for key, item in value.items()}
    return value


@dataclass(frozen=True)
class _Entry:
    """One input of a Keras 2 call.

    Attributes:
        value: The tensor, or the constant that stands in its place.
        kwargs: The call's keyword arguments, which Keras 2 writes beside each tensor.
    """

    value: Argument
    kwargs: dict[str, Json]


def _keras2_entry(entry: Json) -> _Entry:
    entry = need(entry, list, "an inbound tensor")
    kwargs = need(entry[3] if len(entry) > 3 else {}, dict, "the arguments of a call")
    if entry and entry[0] == _CONSTANT and len(entry) > 2:
        return _Entry(entry[2], kwargs)
    return _Entry(_ref(entry[:3]), kwargs)


def _keras2_argument(value: Json, names: set[str]) -> Argument:
    if isinstance(value, list):
        if len(value) in (3, 4) and isinstance(value[0], str):
            if value[0] in names or value[0] == _CONSTANT:
                return _keras2_entry(value).value
        return [_keras2_argument(item, names) for item in value]
    if isinstance(value, dict):
        return {key: _keras2_argument(item, names) for key, item in value.items()}
    return value


def _ref(history: Json) -> Ref:
    match history:
        case [str(layer), int(call), int(tensor)] if all(
            type(n) is int and 0 <= n < _LARGEST_INDEX for n in (call, tensor)
        ):
            return Ref(layer, call, tensor)
    raise ModelFileError(
        f"cannot read a tensor's history: expected [layer, call, tensor], found {str(history)[:80]}"
    )


def _ends(value: Json, what: str) -> Iterable[Ref]:
    """References in `input_layers` and `output_layers`, which nest like the model's arguments."""
    if isinstance(value, list) and value and isinstance(value[0], str):
        yield _ref(value)
    elif isinstance(value, list):
        for item in value:
            yield from _ends(item, what)
    elif isinstance(value, dict):
        for _, item in sorted(value.items()):
            yield from _ends(item, what)
    else:
        raise ModelFileError(
            f"cannot read {what}: expected lists of [layer, call, tensor], found {str(value)[:80]}"
        )


def _renumbered(network: Network, keras3: bool) -> Network:
    """The network with the calls of nested models counted from 0.

    Keras 2 counts them from 1, because it counts the construction of a nested model as call 0.
    Keras 3 counts from 1 only in the list of outputs, and never for a Sequential.
    """
    nested = {layer.name: layer for layer in network.layers if layer.network is not None}
    inbound = [ref for layer in network.layers for call in layer.calls for ref in call.refs()]
    from_zero = {ref.layer for ref in network.outputs if not ref.call}
    if not keras3:
        from_zero |= {ref.layer for ref in inbound if not ref.call}
    shifted = {
        name
        for name, layer in nested.items()
        if name not in from_zero and not (keras3 and layer.class_name == "Sequential")
    }
    if not shifted:
        return network
    layers = network.layers
    if not keras3:
        layers = tuple(
            replace(layer, calls=tuple(_shifted_call(c, shifted) for c in layer.calls))
            for layer in layers
        )
    outputs = tuple(_shifted_ref(ref, shifted) for ref in network.outputs)
    return replace(network, layers=layers, outputs=outputs)


def _shifted_call(call: Call, shifted: set[str]) -> Call:
    args = tuple(_shifted_argument(value, shifted) for value in call.args)
    return Call(args, {key: _shifted_argument(v, shifted) for key, v in call.kwargs.items()})


def _shifted_argument(value: Argument, shifted: set[str]) -> Argument:
    if isinstance(value, Ref):
        return _shifted_ref(value, shifted)
    if isinstance(value, dict):
        return {key: _shifted_argument(item, shifted) for key, item in value.items()}
    if isinstance(value, list):
        return [_shifted_argument(item, shifted) for item in value]
    return value


def _shifted_ref(ref: Ref, shifted: set[str]) -> Ref:
    return replace(ref, call=ref.call - 1) if ref.layer in shifted else ref


def _check_names(layers: Sequence[Layer], model: str) -> None:
    seen: set[str] = set()
    for layer in layers:
        if layer.name in seen:
            raise ModelFileError(f"two layers of model {model!r} are called {layer.name!r}")
        seen.add(layer.name)
