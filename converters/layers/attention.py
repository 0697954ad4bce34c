"""Attention, and other products of tensors over named axes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from converters.document import Json
from converters.layers.activation import activated
from converters.layers.call import LayerCall
from converters.layers.registry import converts
from converters.layers.value import Value, in_order
from jaxviz.spec import (
    Activation,
    Affine,
    Einsum,
    EinsumDense,
    Expand,
    Merge,
    Reduce,
    Reshape,
    Scale,
    UnitNorm,
)

#: Letters for the axes of an ellipsis; Keras' own equations are in lower case.
_LABELS = "ABCDEFGHIJKL"
_SOFTMAX = Activation(function="softmax", arguments={"axis": -1.0})


@converts("EinsumDense")
def einsum_dense(call: LayerCall) -> Value:
    """A dense layer on any axes, as an einsum equation."""
    value = call.as_in_keras(call.input)
    shape = (None, *value.shape)
    wanted = call.option("output_shape")
    wanted = wanted if isinstance(wanted, list) else [wanted]
    equation = full_equation(call, call.option("equation"), len(shape))
    inputs, kernel, result = re.split(",|->", equation)
    sizes = dict(zip(inputs, shape, strict=True))
    # Keras takes sizes that the input does not give from the end of the output shape.
    sizes |= {
        label: size
        for label, size in zip(result[::-1], wanted[::-1], strict=False)
        if size is not None
    }
    bias = bias_shape(call, call.option("bias_axes", None), result, sizes)
    op = EinsumDense(
        equation=equation, kernel=tuple(sizes.get(label) for label in kernel), bias=bias
    )
    weights = {"kernel": call.weight("kernel")}
    if bias is not None:
        weights["bias"] = call.weight("bias")
    return activated(call, op, value, weights=weights, axes=in_order(len(result) - 1))


def full_equation(call: LayerCall, equation: object, rank: int) -> str:
    """An equation of an input and a kernel, with letters in place of its ellipsis.

    Args:
        call: The layer's call.
        equation: Keras' equation.
        rank: Number of axes of the input, the batch included.
    """
    parts = re.fullmatch(
        r"([a-zA-Z]*\.{0,3}[a-zA-Z]*),([a-zA-Z]+)->([a-zA-Z]*\.{0,3}[a-zA-Z]*)", str(equation)
    )
    if parts is None:
        call.refuse(f"equation={equation!r} is not a product of an input and a kernel")
    left = rank - len(parts[1].replace(".", ""))
    if "..." in parts[1] and 0 <= left <= len(_LABELS):
        return str(equation).replace("...", _LABELS[:left])
    return str(equation)


def bias_shape(
    call: LayerCall, axes: Json, result: str, sizes: Mapping[str, int]
) -> tuple[int, ...] | None:
    """The shape of a bias over some axes of the result, with size 1 on axes in between.

    Args:
        call: The layer's call.
        axes: Letters of the axes; None for no bias.
        result: Letters of the result's axes.
        sizes: Sizes of the axes, by letter.
    """
    if axes is None:
        return None
    if not isinstance(axes, str) or not axes or any(label not in result for label in axes):
        call.refuse(f"bias_axes={axes!r} are not letters of the result {result!r}")
    first = min(result.index(label) for label in axes)
    return tuple(sizes[label] if label in axes else 1 for label in result[first:])


@converts("Dot")
def dot(call: LayerCall) -> Value:
    """The product of two tensors, summed over one axis of each."""
    first, second = (call.as_in_keras(value) for value in call.inputs)
    axes = call.option("axes")
    pair = axes if isinstance(axes, list) else [axes, axes]
    if len(pair) != 2 or not all(type(axis) is int and axis for axis in pair):
        call.refuse(f"axes={axes!r} is not one axis of each tensor, the batch excluded")
    ones = [first.axis(pair[0]) + len(first.shape), second.axis(pair[1]) + len(second.shape)]
    if call.option("normalize", False):
        first, second = (
            call.emit(UnitNorm(axes=(axis - len(v.shape),)), v, stage=stage)
            for v, axis, stage in ((first, ones[0], "first"), (second, ones[1], "second"))
        )
    left = [_LABELS[i] for i in range(len(first.shape))]
    right = [_LABELS[i].lower() for i in range(len(second.shape))]
    left[ones[0]] = right[ones[1]] = "z"
    rest = [label for label in left + right if label != "z"]
    equation = f"y{''.join(left)},y{''.join(right)}->y{''.join(rest)}"
    if rest:
        return call.emit(Einsum(equation=equation), first, second, axes=in_order(len(rest)))
    product = call.emit(Einsum(equation=equation), first, second, stage="product", axes=())
    return call.emit(Reshape(shape=(1,)), product, axes=in_order(1))


def _query_value_key(call: LayerCall) -> tuple[Value, Value, Value]:
    """Query, value and key from the inputs [query, value] or [query, value, key]."""
    call.ignore("dropout")
    if len(call.inputs) not in (2, 3):
        call.refuse(f"is called on {len(call.inputs)} tensors, expected 2 or 3")
    query, value, *rest = (call.as_in_keras(v) for v in call.inputs)
    if len(query.shape) != 2:
        call.refuse(f"needs sequences [length, channel], found shape {query.keras_shape}")
    return query, value, rest[0] if rest else value


@converts("Attention")
def attention(call: LayerCall) -> Value:
    """Dot-product attention, without masks."""
    call.require("score_mode", "dot")
    query, value, key = _query_value_key(call)
    learned = bool(call.option("use_scale", False))
    stage = "unscaled" if learned else "scores"
    scores = call.emit(Einsum(equation="bqd,bkd->bqk"), query, key, stage=stage)
    if learned:
        weights = {"scale": call.weight("scale")}
        scores = call.emit(Scale(shape=()), scores, stage="scores", weights=weights)
    shares = call.emit(_SOFTMAX, scores, stage="weights")
    return call.emit(Einsum(equation="bqk,bkd->bqd"), shares, value)


@converts("AdditiveAttention")
def additive_attention(call: LayerCall) -> Value:
    """Attention by the sum of tanh(query + key), with a learned factor for each term."""
    query, value, key = _query_value_key(call)
    every = in_order(3)
    query = call.emit(Expand(axis=-2), query, stage="query", axes=every)
    key = call.emit(Expand(axis=-3), key, stage="key", axes=every)
    terms = call.emit(Merge(kind="add"), query, key, stage="sum")
    terms = call.emit(Activation(function="tanh"), terms, stage="tanh")
    if call.option("use_scale", True):
        weights = {"scale": call.weight("scale")}
        factors = Scale(shape=(terms.shape[-1],))
        terms = call.emit(factors, terms, stage="terms", weights=weights)
    scores = call.emit(Reduce(kind="sum", axes=(-1,)), terms, stage="scores")
    shares = call.emit(_SOFTMAX, scores, stage="weights")
    return call.emit(Einsum(equation="bqk,bkd->bqd"), shares, value)


@converts("ops.DotProductAttention")
def dot_product_attention(call: LayerCall) -> Value:
    """Attention as a function of [length, head, channel], without masks."""
    call.ignore("flash_attention")
    query, key, value = (call.as_in_keras(v) for v in call.inputs)
    for name in ("bias", "mask"):
        if call.arguments.get(name) is not None:
            call.refuse(f"has a {name}, which a spec cannot express")
    factor = call.argument(5, "scale", None)
    size = query.shape[-1]
    if len(query.shape) != 3 or size is None or key.shape[-2] != query.shape[-2]:
        call.refuse(
            f"needs equal numbers of heads, found {key.keras_shape} and {query.keras_shape}"
        )
    op = Affine(scale=(1 / math.sqrt(size) if factor is None else factor,), offset=(0.0,))
    query = call.emit(op, query, stage="scaled")
    return call.emit(Einsum(equation="bhqk,bkhd->bqhd"), _shares(call, query, key), value)


def _shares(call: LayerCall, query: Value, key: Value) -> Value:
    """The weight (0–1) of each key position for each query position, for each head."""
    scores = call.emit(Einsum(equation="bqhd,bkhd->bhqk"), query, key, stage="scores")
    return call.emit(_SOFTMAX, scores, stage="weights")


@converts("MultiHeadAttention")
def multi_head_attention(call: LayerCall) -> Value:
    """Attention over all axes between batch and channels, without masks."""
    call.ignore("dropout", "flash_attention", "query_shape", "key_shape", "value_shape")
    query, value = (call.argument(i, n) for i, n in enumerate(("query", "value")))
    key = call.argument(2, "key", None)
    key = value if key is None else key
    if not all(isinstance(v, Value) for v in (query, key, value)):
        call.refuse("is called without a query and a value")
    heads, size = call.option("num_heads"), call.option("key_dim")
    value_size = call.option("value_dim", None) or size
    between = len(query.shape) - 1
    axes = call.option("attention_axes", None)
    if axes is not None and sorted(axes) != list(range(1, between + 1)):
        call.refuse(f"attention_axes={axes!r} leaves axes of shape {query.keras_shape} out")
    wanted = call.option("output_shape", None)
    wanted = wanted[0] if isinstance(wanted, list) and len(wanted) == 1 else wanted
    if wanted is not None and type(wanted) is not int:
        call.refuse(f"output_shape={wanted!r} is not one whole number")
    query, key, value = (_sequence(call, v, s) for v, s in zip(
        (query, key, value), ("query", "key", "value"), strict=True
    ))  # fmt: skip
    projected = {
        part: _projection(call, part, source, heads, width)
        for part, source, width in (
            ("query", query, size), ("key", key, size), ("value", value, value_size),
        )
    }  # fmt: skip
    factor = Affine(scale=(1 / math.sqrt(size),), offset=(0.0,))
    scaled = call.emit(factor, projected["query"], stage="query/scaled")
    shares = _shares(call, scaled, projected["key"])
    context = Einsum(equation="bhqk,bkhd->bqhd")
    seen = call.emit(context, shares, projected["value"], stage="context")
    channels = wanted or query.shape[-1]
    bias = bool(call.option("use_bias", True))
    last = EinsumDense(
        equation="bqhd,hdc->bqc", kernel=(heads, value_size, channels),
        bias=(channels,) if bias else None,
    )  # fmt: skip
    weights = _projection_weights(call, "output", bias)
    source = call.inputs[0] if call.inputs else query
    if between == 1:
        return call.emit(last, seen, weights=weights, axes=in_order(2))
    flat = call.emit(last, seen, weights=weights, stage="flat", axes=in_order(2))
    shape = (*source.keras_shape[:-1], channels)
    return call.emit(Reshape(shape=shape), flat, axes=in_order(between + 1))


def _sequence(call: LayerCall, value: Value, stage: str) -> Value:
    """A map as a sequence of its positions."""
    value = call.as_in_keras(value)
    if len(value.shape) == 2:
        return value
    return call.emit(
        Reshape(shape=(-1, value.shape[-1])), value, stage=f"{stage}/sequence", axes=in_order(2)
    )


def _projection(call: LayerCall, part: str, value: Value, heads: int, size: int) -> Value:
    bias = bool(call.option("use_bias", True))
    op = EinsumDense(
        equation="btc,chd->bthd", kernel=(value.shape[-1], heads, size),
        bias=(heads, size) if bias else None,
    )  # fmt: skip
    weights = _projection_weights(call, part, bias)
    return call.emit(op, value, stage=part, weights=weights, axes=in_order(3))


def _projection_weights(call: LayerCall, part: str, bias: bool) -> dict[str, str]:
    roles = ("kernel", "bias") if bias else ("kernel",)
    return {role: call.weight(f"{part}/{role}", part=f"{part}_dense") for role in roles}
