"""Keras' JSON configurations, of every version, as a neutral `Network`.

Keras 2 writes a node as `[[layer, call, tensor, kwargs], …]`, Keras 3 as arguments in
which tensors carry their history. Everything here is untrusted: whatever is missing or
of the wrong kind ends in a `ModelFileError` that says where.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, TypeVar

from converters import keras1
from converters.network import Call, Layer, Network, Ref
from jaxviz.errors import ModelFileError

_LARGEST_CONFIG = 64 << 20
_DEEPEST_NESTING = 40
_DEEPEST_JSON = 300
_T = TypeVar("_T")


def parse_json(text: bytes | str, what: str) -> Any:
    """Decode JSON of bounded size and depth."""
    if len(text) > _LARGEST_CONFIG:
        raise ModelFileError(f"{what} is larger than any architecture ({_LARGEST_CONFIG} bytes)")
    try:
        document = json.loads(text)
    except RecursionError:
        raise ModelFileError(f"{what} is nested too deeply") from None
    except ValueError as error:
        raise ModelFileError(f"{what} is not valid JSON: {error}") from None
    level = [document]
    for _ in range(_DEEPEST_JSON):  # what follows calls itself once a level
        level = [
            item
            for value in level
            if isinstance(value, list | dict)
            for item in (value.values() if isinstance(value, dict) else value)
        ]
    if level:
        raise ModelFileError(f"{what} is nested too deeply")
    return document


def parse_version(text: object) -> tuple[int, ...]:
    """Numbers of a version such as `2.2.4-tf`; (0,) where there are none.

    Example:
        >>> parse_version("2.2.4-tf"), parse_version(None)
        ((2, 2, 4), (0,))
    """
    match = re.match(r"\d{1,4}(\.\d{1,4})*", text) if isinstance(text, str) else None
    return tuple(int(part) for part in match[0].split(".")) if match else (0,)


def parse_model(document: Any, version: tuple[int, ...]) -> Network:
    """The network that a model's JSON describes.

    Args:
        document: What `model.to_json()` or `config.json` holds, decoded.
        version: Keras version that wrote it.

    Raises:
        ModelFileError: If it is not a Sequential or Functional model, or contradicts itself.
    """
    document = _need(document, dict, "the model's configuration")
    if (0,) < version < (2,):
        document = keras1.translated(document)
    class_name = _need(document.get("class_name"), str, "the model's class_name")
    config = document.get("config")
    build = document.get("build_config")
    shape = build.get("input_shape") if isinstance(build, dict) else None
    network = _network(class_name, config, version, shape, depth=0)
    if network is None:
        raise ModelFileError(
            f"a {class_name} cannot be read: only Sequential and Functional models "
            "hold their architecture in the file",
            hint="Subclassed models must be rebuilt as Functional models in Keras first.",
        )
    return network


def _network(
    class_name: str, config: Any, version: tuple[int, ...], shape: Any, depth: int
) -> Network | None:
    """The network in a layer's configuration; None if the layer is not a model."""
    if depth > _DEEPEST_NESTING:
        raise ModelFileError(f"models are nested more than {_DEEPEST_NESTING} deep")
    if class_name == "Sequential":
        if isinstance(config, list):  # before Keras 2.2.3
            config = {"name": "sequential", "layers": config}
        config = _need(config, dict, "a Sequential's config")
        shape = config.get("build_input_shape") or shape
        return _sequential(config, version, shape, depth)
    if isinstance(config, dict) and isinstance(config.get("layers"), list):
        if "input_layers" in config and "output_layers" in config:
            return _functional(config, version, depth)
    return None


def _sequential(
    config: dict[str, Any], version: tuple[int, ...], shape: Any, depth: int
) -> Network:
    name = str(config.get("name", "sequential"))
    documents = [
        _need(d, dict, f"a layer of {name!r}") for d in _need(config.get("layers"), list, name)
    ]
    layers: list[Layer] = []
    for document in documents:
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
        raise ModelFileError(f"the model {name!r} has no layers")
    _check_names(layers, name)
    return Network(name, tuple(layers), (Ref(layers[0].name),), (Ref(layers[-1].name),), version)


def _implied_input(first: Layer, document: dict[str, Any], shape: Any) -> Layer:
    """The input layer that a Sequential leaves out, from the first place that knows its shape."""
    build = document.get("build_config")
    places = [
        first.config.get("batch_input_shape"),
        first.config.get("batch_shape"),
        shape,
        build.get("input_shape") if isinstance(build, dict) else None,
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
    config = {} if known is None else {"batch_shape": known}
    return Layer("InputLayer", f"{first.name}_input", config, (Call(()),))


def _functional(config: dict[str, Any], version: tuple[int, ...], depth: int) -> Network:
    name = str(config.get("name", "model"))
    documents = [_need(d, dict, f"a layer of {name!r}") for d in config["layers"]]
    names = {d.get("name") for d in documents if isinstance(d.get("name"), str)}
    layers = []
    for document in documents:
        inbound = _need(document.get("inbound_nodes", []), list, "inbound_nodes")
        calls = tuple(_call(node, names) for node in inbound) or (Call(()),)
        layers.append(_layer(document, calls, version, depth))
    _check_names(layers, name)
    inputs = tuple(_ends(config["input_layers"], f"input_layers of {name!r}"))
    outputs = tuple(_ends(config["output_layers"], f"output_layers of {name!r}"))
    if not inputs or not outputs:
        raise ModelFileError(f"the model {name!r} has no inputs or no outputs")
    nodes = [node for d in documents for node in d.get("inbound_nodes", [])]
    keras3 = any(isinstance(node, dict) and "args" in node for node in nodes)
    return _renumbered(Network(name, tuple(layers), inputs, outputs, version), keras3)


def _layer(
    document: dict[str, Any], calls: tuple[Call, ...], version: tuple[int, ...], depth: int
) -> Layer:
    class_name = _need(document.get("class_name"), str, "a layer's class_name")
    config = document.get("config")
    build = document.get("build_config")
    shape = build.get("input_shape") if isinstance(build, dict) else None
    network = _network(class_name, config, version, shape, depth + 1)
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
    # Keras 3 states a class's module, or the package it is registered in; tf.keras `package>Name`.
    package, _, class_name = class_name.rpartition(">")
    if ">" in str(document.get("registered_name")):
        package = str(document["registered_name"]).split(">")[0]
    if isinstance(module, str) and module.split(".")[0] not in ("keras", "tf_keras"):
        package = module.split(".")[0]
    return Layer(
        class_name=class_name,
        name=_need(name, str, f"the name of a {class_name}"),
        config=config,
        calls=calls,
        network=network,
        operation=operation,
        package="" if operation else package,
    )


def _wrapped(config: dict[str, Any], version: tuple[int, ...], depth: int) -> Network:
    """The model inside of a wrapper; a plain layer is made one of its own."""
    document = _need(config.get("layer"), dict, "the layer in a wrapper")
    inner = _layer(document, (Call((Ref("step"),)),), version, depth)
    if inner.network is not None:
        return inner.network
    source = Layer("InputLayer", "step" if inner.name != "step" else "steps", {}, (Call(()),))
    inner = replace(inner, calls=(Call((Ref(source.name),)),))
    return Network(inner.name, (source, inner), (Ref(source.name),), (Ref(inner.name),), version)


def _call(node: Any, names: set[Any]) -> Call:
    if isinstance(node, dict) and "args" in node:  # Keras 3
        args = _need(node["args"], list, "a node's args")
        kwargs = _need(node.get("kwargs", {}), dict, "a node's kwargs")
        return Call(
            tuple(_keras3_argument(a) for a in args),
            {key: _keras3_argument(value) for key, value in kwargs.items()},
        )
    if isinstance(node, dict):
        return Call(({key: _keras2_entry(entry)[0] for key, entry in sorted(node.items())},))
    node = _need(node, list, "an inbound node")
    if len(node) in (3, 4) and isinstance(node[0], str):
        node = [node]
    entries = [_keras2_entry(entry) for entry in node]
    if not entries:
        return Call(())
    kwargs = {key: _keras2_argument(v, names) for key, v in entries[0][1].items()}
    tensors = [entry[0] for entry in entries]
    return Call((tensors[0] if len(tensors) == 1 else tensors,), kwargs)


def _keras3_argument(value: Any) -> Any:
    if isinstance(value, list):
        return [_keras3_argument(item) for item in value]
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            config = _need(value.get("config"), dict, "a tensor")
            return _ref(config.get("keras_history"))
        return {key: _keras3_argument(item) for key, item in value.items()}
    return value


def _keras2_entry(entry: Any) -> tuple[Any, dict[str, Any]]:
    entry = _need(entry, list, "an inbound tensor")
    kwargs = entry[3] if len(entry) > 3 else {}
    kwargs = _need(kwargs, dict, "the arguments of a call")
    if entry and entry[0] == "_CONSTANT_VALUE" and len(entry) > 2:
        return entry[2], kwargs
    return _ref(entry[:3]), kwargs


def _keras2_argument(value: Any, names: set[Any]) -> Any:
    if isinstance(value, list):
        if len(value) in (3, 4) and isinstance(value[0], str):
            if value[0] in names or value[0] == "_CONSTANT_VALUE":
                return _keras2_entry(value)[0]
        return [_keras2_argument(item, names) for item in value]
    if isinstance(value, dict):
        return {key: _keras2_argument(item, names) for key, item in value.items()}
    return value


def _ref(history: Any) -> Ref:
    if (
        not isinstance(history, list)
        or len(history) != 3
        or not isinstance(history[0], str)
        or not all(type(n) is int and 0 <= n < 1 << 20 for n in history[1:])
    ):
        raise ModelFileError(f"a tensor's origin is unreadable: {str(history)[:80]}")
    return Ref(*history)


def _ends(value: Any, what: str) -> Iterable[Ref]:
    """References in `input_layers` and `output_layers`, which nest as the model's arguments do."""
    if isinstance(value, list) and value and isinstance(value[0], str):
        yield _ref(value)
    elif isinstance(value, list):
        for item in value:
            yield from _ends(item, what)
    elif isinstance(value, dict):
        for _, item in sorted(value.items()):
            yield from _ends(item, what)
    else:
        raise ModelFileError(f"{what} cannot be read: {str(value)[:80]}")


def _renumbered(network: Network, keras3: bool) -> Network:
    """The same network with the calls of nested models counted from 0.

    Keras 2 counts them from 1, because the construction of a nested model is its call 0.
    Keras 3 does so in its list of outputs alone, and not for a Sequential.
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

    def renumber(value: Any) -> Any:
        if isinstance(value, Ref):
            return replace(value, call=value.call - (value.layer in shifted))
        if isinstance(value, dict):
            return {key: renumber(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(renumber(item) for item in value)
        return value

    if not shifted:
        return network
    layers = network.layers
    if not keras3:
        layers = tuple(
            replace(
                layer, calls=tuple(Call(renumber(c.args), renumber(c.kwargs)) for c in layer.calls)
            )
            for layer in layers
        )
    outputs = tuple(renumber(ref) for ref in network.outputs)
    return replace(network, layers=layers, outputs=outputs)


def _check_names(layers: list[Layer], model: str) -> None:
    seen: set[str] = set()
    for layer in layers:
        if layer.name in seen:
            raise ModelFileError(f"two layers of {model!r} are called {layer.name!r}")
        seen.add(layer.name)


def _need(value: Any, kind: type[_T], what: str) -> _T:
    if not isinstance(value, kind):
        raise ModelFileError(f"{what} should be a {kind.__name__}, found {str(value)[:80]!r}")
    return value
