"""From a neutral network to a spec.

Every layer is lowered, or its problem is collected. One error then names all problems.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pydantic import ValidationError

from converters.graph import Graph
from converters.layers import LayerCall, Slot, UnknownInput, Unsupported, Value, converter_of
from converters.layers.call import Transform, after
from converters.layers.timed import over_time, widened
from converters.layers.value import LARGEST_AXIS, Argument, channels_first, in_order, tensors
from converters.network import Argument as Unresolved
from converters.network import Layer, Network, Ref
from jaxviz.errors import ConversionError, JaxvizError, LayerError, ModelFileError, nearest
from jaxviz.spec import Identity, InputSpec, ModelSpec, Node, Shape, Source

#: Most axes of an input, besides the batch.
_MOST_AXES = 6


@dataclass(frozen=True)
class Lowered:
    """A network as a spec, before its weights are looked up.

    Attributes:
        spec: The architecture.
        slots: The arrays that each layer declares, by the layer's name among the weights.
        keys: The name among the weights of each layer of the network.
        axes: The places of Keras' axes in each node's result (see `Value.axes`).
    """

    spec: ModelSpec
    slots: Mapping[str, Sequence[Slot]]
    keys: Mapping[Layer, str]
    axes: Mapping[str, tuple[int, ...]]


def lower(network: Network, source: Source, until: str | None = None) -> Lowered:
    """Lower a network to a spec.

    Args:
        network: The architecture.
        source: Where the model came from, for the spec.
        until: Name of the last node to keep; everything after it is left out.

    Raises:
        ConversionError: If layers cannot be converted; the error names every one of them.
        LayerError: If `until` does not exist.
        ModelFileError: If the network contradicts itself.
    """
    state = _Lowering(network, network.keras < (3,) and network.keras != (0,))
    inputs = state.model_inputs()
    outputs = state.network(network, "", inputs)
    title = source.file or network.name
    poisoned = {name for name, value in state.graph.values.items() if value.known is None}
    wanted = [value.name for value in outputs]
    if until is not None:
        if until not in state.graph.values:
            raise LayerError(
                f"model {title!r} has no layer {until!r}", hint=nearest(until, state.graph.values)
            )
        wanted = [until]
    kept = _upstream(state.graph.nodes, wanted)
    if state.problems and (poisoned & {*wanted, *(n.name for n in kept)}):
        raise _report(title, state)
    used = {name for node in kept for name in node.inputs} | set(wanted)
    named = [i for i in inputs if i.name in used] or inputs[:1]
    try:
        spec = ModelSpec(
            name=network.name,
            inputs=tuple(InputSpec(name=i.name, shape=i.shape) for i in named),
            nodes=tuple(kept),
            outputs=tuple(dict.fromkeys(wanted)),
            source=source,
        )
    except ValidationError as error:
        raise ModelFileError(f"{title!r} contradicts itself: {_first(error)}") from None
    axes = {name: value.axes for name, value in state.graph.values.items()}
    return Lowered(spec, state.slots, state.keys, axes)


@dataclass(frozen=True)
class _Problem:
    """A layer that could not be converted.

    Attributes:
        name: Name of the layer.
        class_name: Keras' class.
        reason: Why it could not be converted.
    """

    name: str
    class_name: str
    reason: str


@dataclass
class _Lowering:
    """A network that is being lowered.

    Attributes:
        top: The whole network.
        keras2: Whether Keras 1 or 2 wrote the file.
        graph: The nodes so far.
        slots: See `Lowered`.
        keys: See `Lowered`.
        problems: The layers that could not be converted.
        attempted: Number of layer calls so far.
    """

    top: Network
    keras2: bool
    graph: Graph = field(default_factory=Graph)
    slots: dict[str, Sequence[Slot]] = field(default_factory=dict)
    keys: dict[Layer, str] = field(default_factory=dict)
    problems: list[_Problem] = field(default_factory=list)
    attempted: int = 0

    def model_inputs(self) -> list[Value]:
        """The spec's inputs, rearranged to channels last if the model is channels_first."""
        by_name = {layer.name: layer for layer in self.top.layers}
        values = []
        for ref in self.top.inputs:
            layer = by_name.get(ref.layer)
            if layer is None:
                raise ModelFileError(f"model input {ref.layer!r} is not among the model's layers")
            shape = _input_shape(layer)
            first = _data_format(self.top) == "channels_first" and len(shape) > 1
            axes = channels_first(len(shape)) if first else in_order(len(shape))
            spec_shape = tuple(shape[axes.index(j)] for j in range(len(shape)))
            values.append(self.graph.add(Value(self.graph.free(ref.layer), spec_shape, axes)))
        return values

    def network(self, network: Network, prefix: str, inputs: Sequence[Value]) -> list[Value]:
        """Lower every call of a network; return the outputs."""
        results: dict[Ref, Value] = {}
        if len(inputs) != len(network.inputs):
            raise ModelFileError(
                f"model {network.name!r} is called on {len(inputs)} tensors, "
                f"but has {len(network.inputs)} inputs"
            )
        results.update(zip(network.inputs, inputs, strict=True))
        for layer, index in network.calls():
            if Ref(layer.name, index) in results:
                continue
            if not layer.calls[index].refs():
                if layer.class_name == "InputLayer":
                    continue  # the model does not use this input
                self._problem(prefix + layer.name, layer, "is called on no tensor")
                results[Ref(layer.name, index)] = Value(layer.name, None, ())
                continue
            outputs = self._layer(layer, index, prefix, results)
            for tensor, value in enumerate(outputs):
                results[Ref(layer.name, index, tensor)] = value
        missing = [ref for ref in network.outputs if ref not in results]
        if missing:
            raise ModelFileError(
                f"model {network.name!r} has outputs that no layer makes",
                details=[f"{ref.layer} (call {ref.call}, tensor {ref.tensor})" for ref in missing],
            )
        return [results[ref] for ref in network.outputs]

    def _layer(
        self, layer: Layer, index: int, prefix: str, results: Mapping[Ref, Value]
    ) -> list[Value]:
        name = f"{prefix}{layer.name}" + (f"@{index}" if index else "")
        call = layer.calls[index]
        missing = [ref for ref in call.refs() if ref not in results]
        if missing:
            raise ModelFileError(
                f"layer {layer.name!r} reads tensor {missing[0].tensor} of layer "
                f"{missing[0].layer!r}, which does not exist"
            )
        args = tuple(_resolved(value, results) for value in call.args)
        kwargs = {key: _resolved(value, results) for key, value in call.kwargs.items()}
        if layer.network is not None:
            if kwargs.get("training") and self.keras2:
                self._problem(name, layer, "is called with training=True")
                return [self.graph.poison(self.graph.free(name))]
            inner = list(tensors([args, kwargs]))
            if layer.class_name == "TimeDistributed":
                return [self._at_every_step(layer, name, inner)]
            outputs = self.network(layer.network, f"{name}/", inner)
            if len(outputs) == 1:
                return [self.graph.alias(outputs[0], name)]
            return outputs
        return self._convert(layer, name, prefix + layer.name, args, kwargs)

    def _at_every_step(self, layer: Layer, name: str, inputs: Sequence[Value]) -> Value:
        """Lower the model in a TimeDistributed for one step, then widen it to all steps."""
        assert layer.network is not None
        start, problems = len(self.graph.nodes), len(self.problems)
        steps: set[int | None] = set()
        inside = []
        for value in inputs:
            if value.known is not None and value.axes != in_order(len(value.known)):
                self._problem(name, layer, "has its steps on another axis than the first")
                return self.graph.poison(self.graph.free(name))
            steps |= {value.known[0]} if value.known else set()
            step = None if value.known is None else value.known[1:]
            inside.append(Value(value.name, step, in_order(len(value.axes) - 1)))
        outputs = self.network(layer.network, f"{name}/", inside)
        try:
            if len(outputs) != 1 or len(steps) > 1:
                raise Unsupported("needs one output, and inputs of equal length")
            self._widen(start, next(iter(steps), None), {v.name: v for v in inside})
        except Unsupported as error:
            if len(self.problems) == problems:
                self._problem(name, layer, str(error))
            del self.graph.nodes[start:]
            return self.graph.poison(self.graph.free(name))
        result = outputs[0]
        if result.known is not None:
            result = self.graph.values[result.name]
        return self.graph.alias(result, name)

    def _widen(self, start: int, steps: int | None, step_values: dict[str, Value]) -> None:
        """Widen every node from `start` on from one step to all steps."""
        at_one_step = self.graph.values | step_values
        for i, node in enumerate(self.graph.nodes[start:], start=start):
            shapes = [at_one_step[source].shape for source in node.inputs]
            value = at_one_step[node.name]
            timed = over_time(node.op, steps, shapes, value.shape)
            for role, slot in node.weights.items():
                if (change := widened(node.op, role)) is not None:
                    self._change(node.layer, slot, change)
            self.graph.nodes[i] = node.model_copy(update={"op": timed})
            axes = (0, *(axis + 1 for axis in value.axes))
            self.graph.values[node.name] = Value(node.name, (steps, *value.shape), axes)

    def _change(self, key: str, name: str, change: Transform) -> None:
        """Add a change of one array to its slot."""
        self.slots[key] = [
            replace(slot, transform=after(slot.transform, change)) if slot.name == name else slot
            for slot in self.slots[key]
        ]

    def _convert(
        self,
        layer: Layer,
        name: str,
        path: str,
        args: tuple[Argument, ...],
        kwargs: Mapping[str, Argument],
    ) -> list[Value]:
        base = self.graph.free(name)
        key = self.keys.setdefault(layer, path if path not in self.slots else base)
        call = LayerCall(
            layer=layer, args=args, arguments=kwargs, keras2=self.keras2,
            base=base, key=key, taken=set(self.graph.taken),
        )  # fmt: skip
        self.attempted += 1
        try:
            outputs = _attempt(call)
        except UnknownInput:
            return [self.graph.poison(base)]
        except JaxvizError as error:
            self._problem(name, layer, str(error).splitlines()[0])
            return [self.graph.poison(base)]
        self.slots.setdefault(key, list(call.slots.values()))
        if any(value.known is None for value in tensors([args, kwargs])):
            return [self.graph.poison(base)]
        if len(outputs) == 1 and outputs[0].name != base:  # the layer returns its input
            outputs = [call.emit(Identity(), outputs[0])]
        self.graph.extend(call)
        return outputs

    def _problem(self, name: str, layer: Layer, reason: str) -> None:
        self.problems.append(_Problem(name, layer.class_name, reason))


def _attempt(call: LayerCall) -> list[Value]:
    """Convert one call; every failure of the converter becomes an `Unsupported`."""
    converter = converter_of(call.layer)
    if converter is None:
        origin = f"comes from {call.layer.package[:60]!r} and " if call.layer.package else ""
        raise Unsupported(f"{origin}is not a layer that jaxviz knows")
    try:
        _check_dtype(call)
        result = converter(call)
    except ValidationError as error:
        raise Unsupported(f"has an invalid configuration: {_first(error)}") from None
    except (TypeError, ValueError, ArithmeticError, LookupError) as error:
        raise Unsupported(f"has an invalid configuration: {error}") from None
    if leftovers := call.leftovers():
        listed = ", ".join(f"{k}={str(v)[:60]!r}" for k, v in sorted(leftovers.items()))
        raise Unsupported(f"has options that jaxviz does not know: {listed}")
    return [result] if isinstance(result, Value) else list(result)


def _upstream(nodes: Sequence[Node], wanted: Sequence[str]) -> list[Node]:
    """The nodes that the wanted ones depend on, and the wanted ones."""
    needed = set(wanted)
    for node in reversed(nodes):
        if node.name in needed:
            needed.update(node.inputs)
    return [node for node in nodes if node.name in needed]


def _report(title: str, state: _Lowering) -> ConversionError:
    """The error that names every problem, and how far conversion is possible."""
    width = max(len(problem.name) for problem in state.problems)
    count = len(state.problems)
    last = next((n.output_name for n in reversed(state.graph.nodes)), None)
    hints = [f"Everything up to {last!r} converts: --until {last}"] if last else []
    if any("is not a layer that jaxviz knows" in problem.reason for problem in state.problems):
        hints.append("Register a converter for a layer of your own: see converters.register.")
    return ConversionError(
        f"cannot convert {title!r}: {count} of {state.attempted} layers unsupported",
        details=[f"{p.name:<{width}}  {p.class_name}: {p.reason}" for p in state.problems],
        hint="\n".join(hints),
    )


def _resolved(value: Unresolved, results: Mapping[Ref, Value]) -> Argument:
    """An argument with tensors in place of references."""
    match value:
        case Ref():
            return results[value]
        case dict():
            return {key: _resolved(item, results) for key, item in value.items()}
        case list() | tuple():
            return [_resolved(item, results) for item in value]
        case None | bool() | int() | float() | str():
            return value
    raise TypeError(f"a {type(value).__name__} is not an argument")


def _input_shape(layer: Layer) -> Shape:
    keys = ("batch_shape", "batch_input_shape")
    full = next((s for k in keys if isinstance(s := layer.config.get(k), list)), None)
    if full is None or len(full) < 2:
        raise ModelFileError(
            f"input {layer.name!r} has no shape, because the model was saved before it was built"
        )
    shape = tuple(n for n in full[1:] if n is None or (type(n) is int and 0 < n < LARGEST_AXIS))
    if len(shape) < len(full) - 1 or len(shape) > _MOST_AXES:
        raise ModelFileError(f"input {layer.name!r} has the impossible shape {tuple(full[1:])}")
    return shape


def _data_format(network: Network) -> str | None:
    """The `data_format` of the first layer that has one; Flatten's means something else."""
    for layer in network.layers:
        found: object = None
        if layer.network is not None:
            found = _data_format(layer.network)
        elif layer.class_name != "Flatten":
            found = layer.config.get("data_format")
        if found in ("channels_first", "channels_last"):
            return str(found)
    return None


def _check_dtype(call: LayerCall) -> None:
    """Refuse a quantized layer."""
    policy = call.layer.config.get("dtype")
    if isinstance(policy, dict) and "Quantized" in str(policy.get("class_name")):
        call.refuse("is quantized; save the model before you call `quantize()`")


def _first(error: ValidationError) -> str:
    """The first problem in a validation error, on one line."""
    found = error.errors()[0]
    where = ".".join(str(part) for part in found["loc"])
    return f"{where} = {str(found.get('input'))[:60]!r}: {found['msg']}"
