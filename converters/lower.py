"""From a neutral network to a spec and its weights.

Every layer is tried, every problem is collected, and one error names them all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from converters.bind import bind
from converters.layers import LayerCall, Slot, UnknownInput, Unsupported, Value, converter_of
from converters.layers.call import Transform, after, channels_first, in_order, tensors
from converters.layers.timed import over_time, widened
from converters.network import Layer, Network, Ref
from converters.weights import Store
from jaxviz.bundle import Bundle
from jaxviz.errors import ConversionError, JaxvizError, LayerError, ModelFileError, nearest
from jaxviz.spec import Identity, InputSpec, ModelSpec, Node, Shape, Source


@dataclass(frozen=True)
class Lowered:
    """A network as a spec, before its weights are looked up.

    Attributes:
        spec: The architecture.
        slots: The arrays that each layer declares, by the layer's name among the weights.
        keys: That name for each layer of the network.
        axes: Where Keras' axes went in each node's result (see `Value.axes`).
    """

    spec: ModelSpec
    slots: Mapping[str, Sequence[Slot]]
    keys: Mapping[Layer, str]
    axes: Mapping[str, tuple[int, ...]]


def convert(network: Network, store: Store, source: Source, until: str | None = None) -> Bundle:
    """Convert a network and its weights.

    Args:
        network: The architecture.
        store: The arrays.
        source: What the spec says about where the model came from.
        until: Name of a node after which everything is left out.

    Raises:
        ConversionError: Naming every layer that cannot be converted, or every array that
            does not match its layer.
        LayerError: If `until` does not exist.
    """
    lowered = lower(network, source, until)
    return Bundle(lowered.spec, bind(lowered, network, store))


def lower(network: Network, source: Source, until: str | None = None) -> Lowered:
    """The architecture alone; see `convert`."""
    state = _Lowering(network, network.keras < (3,) and network.keras != (0,))
    inputs = state.model_inputs()
    outputs = state.network(network, "", inputs)
    title = source.file or network.name
    poisoned = {name for name, value in state.values.items() if value.known is None}
    wanted = [value.name for value in outputs]
    if until is not None:
        if until not in state.values:
            raise LayerError(
                f"model {title!r} has no layer {until!r}", hint=nearest(until, state.values)
            )
        wanted = [until]
    kept = _upstream(state.nodes, wanted)
    if state.problems and (poisoned & {*wanted, *(n.name for n in kept)}):
        raise _report(title, state, network)
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
    axes = {name: value.axes for name, value in state.values.items()}
    return Lowered(spec, state.slots, state.keys, axes)


@dataclass
class _Lowering:
    """The graph under construction."""

    top: Network
    keras2: bool
    nodes: list[Node] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    slots: dict[str, Sequence[Slot]] = field(default_factory=dict)
    keys: dict[Layer, str] = field(default_factory=dict)
    #: (name, class, reason) of every layer that could not be converted.
    problems: list[tuple[str, str, str]] = field(default_factory=list)
    attempted: int = 0

    def model_inputs(self) -> list[Value]:
        """The spec's inputs, channels last where the first layers say channels_first."""
        by_name = {layer.name: layer for layer in self.top.layers}
        values = []
        for ref in self.top.inputs:
            layer = by_name.get(ref.layer)
            if layer is None:
                raise ModelFileError(f"the model input {ref.layer!r} is not among its layers")
            shape = _input_shape(layer)
            first = _data_format(self.top) == "channels_first" and len(shape) > 1
            axes = channels_first(len(shape)) if first else in_order(len(shape))
            spec_shape = tuple(shape[axes.index(j)] for j in range(len(shape)))
            name = self._free(ref.layer)
            self.taken.add(name)
            values.append(Value(name, spec_shape, axes))
            self.values[name] = values[-1]
        return values

    def network(self, network: Network, prefix: str, inputs: Sequence[Value]) -> list[Value]:
        """Lower every call of a network; returns its outputs."""
        results: dict[Ref, Value] = {}
        if len(inputs) != len(network.inputs):
            raise ModelFileError(
                f"model {network.name!r} is called on {len(inputs)} tensors "
                f"and has {len(network.inputs)} inputs"
            )
        results.update(zip(network.inputs, inputs, strict=True))
        for layer, index in network.calls():
            if Ref(layer.name, index) in results:
                continue
            if not layer.calls[index].refs():
                if layer.class_name == "InputLayer":
                    continue  # an input that the model does not use
                self._problem(prefix + layer.name, layer, "is called on no tensor")
                results[Ref(layer.name, index)] = Value(layer.name, None, ())
                continue
            outputs = self._layer(layer, index, prefix, results)
            for tensor, value in enumerate(outputs):
                results[Ref(layer.name, index, tensor)] = value
        missing = [ref for ref in network.outputs if ref not in results]
        if missing:
            raise ModelFileError(
                f"model {network.name!r} has outputs that no layer gives",
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
                f"layer {layer.name!r} reads a result of {missing[0].layer!r} that does not exist"
            )
        args = _resolved(call.args, results)
        kwargs = _resolved(call.kwargs, results)
        if layer.network is not None:
            if kwargs.get("training") and self.keras2:
                self._problem(name, layer, "is called as in training")
                return [self._poison(self._free(name))]
            inner = list(tensors([args, kwargs]))
            if layer.class_name == "TimeDistributed":
                return [self._at_every_step(layer, name, inner)]
            outputs = self.network(layer.network, f"{name}/", inner)
            if len(outputs) == 1:
                return [self._nested_output(outputs[0], name, layer)]
            return outputs
        return self._convert(layer, name, prefix + layer.name, args, kwargs)

    def _at_every_step(self, layer: Layer, name: str, inputs: Sequence[Value]) -> Value:
        """A TimeDistributed: its model lowered for one step, then widened to all of them."""
        assert layer.network is not None
        start, problems = len(self.nodes), len(self.problems)
        steps: set[int | None] = set()
        inside = []
        for value in inputs:
            if value.known is not None and value.axes != in_order(len(value.known)):
                self._problem(name, layer, "takes steps that do not come first")
                return self._poison(self._free(name))
            steps |= {value.known[0]} if value.known else set()
            step = None if value.known is None else value.known[1:]
            inside.append(Value(value.name, step, in_order(len(value.axes) - 1)))
        outputs = self.network(layer.network, f"{name}/", inside)
        try:
            if len(outputs) != 1 or len(steps) > 1:
                raise Unsupported("does not make one sequence of sequences of one length")
            self._widen(start, next(iter(steps), None), {v.name: v for v in inside})
        except Unsupported as error:
            if len(self.problems) == problems:
                self._problem(name, layer, str(error))
            del self.nodes[start:]
            return self._poison(self._free(name))
        result = self.values[outputs[0].name] if outputs[0].known is not None else outputs[0]
        return self._nested_output(result, name, layer)

    def _widen(self, start: int, steps: int | None, step_values: dict[str, Value]) -> None:
        """Every node from `start` on, made for one step, computes all of them."""
        at_one_step = self.values | step_values
        for i, node in enumerate(self.nodes[start:], start=start):
            shapes = [at_one_step[source].shape for source in node.inputs]
            value = at_one_step[node.name]
            timed = over_time(node.op, steps, shapes, value.shape)
            for role, slot in node.weights.items():
                if (change := widened(node.op, role)) is not None:
                    self._change(node.layer, slot, change)
            self.nodes[i] = node.model_copy(update={"op": timed})
            axes = (0, *(axis + 1 for axis in value.axes))
            self.values[node.name] = Value(node.name, (steps, *value.shape), axes)

    def _change(self, key: str, name: str, change: Transform) -> None:
        """Do something more to an array before it is a weight."""
        self.slots[key] = [
            replace(slot, transform=after(slot.transform, change)) if slot.name == name else slot
            for slot in self.slots[key]
        ]

    def _nested_output(self, value: Value, name: str, layer: Layer) -> Value:
        """The nested model's own name, as another name of its output."""
        if value.known is None:
            return value
        base = self._free(name)
        self.taken.add(base)
        self.nodes.append(Node(name=base, op=Identity(), inputs=(value.name,), layer=base))
        self.values[base] = Value(base, value.known, value.axes)
        return self.values[base]

    def _convert(self, layer: Layer, name: str, path: str, args: Any, kwargs: Any) -> list[Value]:
        base = self._free(name)
        key = self.keys.setdefault(layer, path if path not in self.slots else base)
        call = LayerCall(layer, tuple(args), kwargs, base, key, self.keras2, set(self.taken))
        try:
            outputs = self._attempt(call)
        except UnknownInput:
            return [self._poison(base)]
        except JaxvizError as error:
            self._problem(name, layer, str(error).splitlines()[0])
            return [self._poison(base)]
        self.slots.setdefault(key, list(call.slots.values()))
        if any(value.known is None for value in tensors([args, kwargs])):
            return [self._poison(base)]
        self.nodes += call.nodes
        self.taken |= call.taken
        self.values |= call.values
        if len(outputs) > 1:
            return outputs
        if outputs[0].name != base:  # a layer that hands on what it is given
            outputs = [call.emit(Identity(), outputs[0])]
            self.nodes.append(call.nodes[-1])
            self.taken |= call.taken
            self.values |= call.values
        return outputs

    def _attempt(self, call: LayerCall) -> list[Value]:
        self.attempted += 1
        converter = converter_of(call.layer)
        if converter is None:
            origin = f"comes from {call.layer.package[:60]!r} and " if call.layer.package else ""
            raise Unsupported(f"{origin}is not a layer that jaxviz knows")
        try:
            _check_dtype(call)
            result = converter(call)
        except ValidationError as error:
            raise Unsupported(f"its configuration makes no sense: {_first(error)}") from None
        except (TypeError, ValueError, ArithmeticError, LookupError) as error:
            raise Unsupported(f"its configuration makes no sense: {error}") from None
        if leftovers := call.leftovers():
            listed = ", ".join(f"{k}={str(v)[:60]!r}" for k, v in sorted(leftovers.items()))
            raise Unsupported(f"has options that jaxviz does not know: {listed}")
        return [result] if isinstance(result, Value) else list(result)

    def _poison(self, name: str) -> Value:
        """Stands for a result that cannot be computed, so that what follows is still looked at."""
        self.taken.add(name)
        self.values[name] = Value(name, None, ())
        return self.values[name]

    def _problem(self, name: str, layer: Layer, reason: str) -> None:
        self.problems.append((name, layer.class_name, reason))

    def _free(self, name: str) -> str:
        while name in self.taken:
            name += "~"
        return name


def _upstream(nodes: Sequence[Node], wanted: Sequence[str]) -> list[Node]:
    needed = set(wanted)
    for node in reversed(nodes):
        if node.name in needed:
            needed.update(node.inputs)
    return [node for node in nodes if node.name in needed]


def _report(title: str, state: _Lowering, network: Network) -> ConversionError:
    width = max(len(name) for name, _, _ in state.problems)
    count = len(state.problems)
    last = next((n.output_name for n in reversed(state.nodes)), None)
    hints = [f"Everything up to {last!r} converts: --until {last}"] if last else []
    if any("is not a layer that jaxviz knows" in reason for _, _, reason in state.problems):
        hints.append("Layers of your own can be taught: see converters.register.")
    return ConversionError(
        f"cannot convert {title!r}: {count} of {state.attempted} layers unsupported",
        details=[f"{name:<{width}}  {cls}: {reason}" for name, cls, reason in state.problems],
        hint="\n".join(hints),
    )


def _resolved(value: Any, results: Mapping[Ref, Value]) -> Any:
    """The same arguments with tensors in place of references."""
    if isinstance(value, Ref):
        return results[value]
    if isinstance(value, dict):
        return {key: _resolved(item, results) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_resolved(item, results) for item in value]
    return value


def _input_shape(layer: Layer) -> Shape:
    keys = ("batch_shape", "batch_input_shape")
    full = next((layer.config[k] for k in keys if isinstance(layer.config.get(k), list)), None)
    if full is None or len(full) < 2:
        raise ModelFileError(
            f"the input {layer.name!r} has no shape: the model was saved before it was built"
        )
    shape = tuple(full[1:])
    if len(shape) > 6 or not all(n is None or (type(n) is int and 0 < n < 1 << 24) for n in shape):
        raise ModelFileError(f"the input {layer.name!r} has the impossible shape {shape}")
    return shape


def _data_format(network: Network) -> str | None:
    """The `data_format` of the first layer that has one (Flatten has one of its own)."""
    for layer in network.layers:
        if layer.network is not None:
            found = _data_format(layer.network)
        else:
            found = None if layer.class_name == "Flatten" else layer.config.get("data_format")
        if found in ("channels_first", "channels_last"):
            return found
    return None


def _check_dtype(call: LayerCall) -> None:
    policy = call.layer.config.get("dtype")
    if isinstance(policy, dict) and "Quantized" in str(policy.get("class_name")):
        call.refuse("is quantized; save the model before `quantize()`")


def _first(error: ValidationError) -> str:
    found = error.errors()[0]
    where = ".".join(str(part) for part in found["loc"])
    return f"{where} = {str(found.get('input'))[:60]!r}: {found['msg']}"
