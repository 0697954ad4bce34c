"""One channel of a layer, without computing the others.

A unit needs one channel of its layer. The demand for one channel is passed up from the
layer through everything that keeps channels apart (activation, batch norm, add, pooling,
depthwise convolution) to the convolutions that make it, and only that channel of those is
computed: exact, and for a shallow layer most of the work saved. Where the demand meets an
operation that mixes channels, or a result that is needed whole anyway, it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxviz.model.graph import Params, as_narrow_as, node_weights, run
from jaxviz.model.ops import DIRECT, compute
from jaxviz.model.ops.conv import SLICES, depthwise_sum, pad_amounts, shifted_sum_backward
from jaxviz.model.ops.registry import MOVED
from jaxviz.model.ops.windows import (
    Ints,
    Pairs,
    pad_spatial,
    turned_padding,
    window_counts,
    window_slice,
)
from jaxviz.spec import (
    Affine,
    Conv,
    ConvTranspose,
    Dense,
    DepthwiseConv,
    ModelSpec,
    Node,
    Pool,
    Shape,
)

Weights = Mapping[str, jax.Array]
# Up to so many channels one filter is a sum over shifted planes.
_THIN = 4
# From so many numbers of a pooled map on the product pays: on two lanes VGG16's block2 at 224 px
# (800 thousand) took 44 ms without and 32 with it, a galaxy CNN's conv2 (130) 0.50 and 0.58.
_LARGE = 1 << 18


@dataclass(frozen=True)
class ChannelPlan:
    """Which nodes are computed whole, and which for one channel alone.

    Attributes:
        spec: The architecture.
        layer: The node whose channel is wanted.
        whole: Names of nodes (and inputs) that are computed whole and then read.
        single: Nodes computed for one channel, in order; the last is the layer's.
        passing: Those of them that need only the same channel of their inputs.
    """

    spec: ModelSpec
    layer: str
    whole: tuple[str, ...]
    single: tuple[Node, ...]
    passing: frozenset[str]


def plan_channel(spec: ModelSpec, layer: str, shapes: Mapping[str, Shape]) -> ChannelPlan:
    """Work out how far up from a layer one channel is enough.

    Args:
        spec: The architecture.
        layer: Name of a node.
        shapes: Shape of every node upstream, from `ModelSpec.shapes`.
    """
    single: set[str] = {layer}
    full: set[str] = set()
    for node in reversed(spec.upstream([layer])):
        if node.name in full:
            full.update(node.inputs)
        elif node.name in single:
            if _passes(node, shapes):
                single.update(node.inputs)
            else:
                full.update(node.inputs)
                if type(node.op) not in _ONE_CHANNEL:
                    full.add(node.name)
    alone = tuple(n for n in spec.upstream([layer]) if n.name in single and n.name not in full)
    made = {node.name for node in alone}
    read = dict.fromkeys(name for node in alone for name in node.inputs if name not in made)
    passing = frozenset(node.name for node in alone if _passes(node, shapes))
    return ChannelPlan(spec, layer, tuple(read) or (layer,), alone, passing)


def _passes(node: Node, shapes: Mapping[str, Shape]) -> bool:
    """Whether channel k of the result needs only channel k of every input."""
    if isinstance(node.op, DepthwiseConv):
        return node.op.multiplier == 1
    same = all(shapes[i][-1:] == shapes[node.name][-1:] for i in node.inputs)
    return bool(node.op.channelwise) and same


def run_whole(
    plan: ChannelPlan,
    params: Params,
    image: jax.Array,
    implementations: Mapping[str, str] | None = None,
) -> dict[str, jax.Array]:
    """What a plan needs whole, [1, …, channels] by name: the expensive part of `run_channel`."""
    source = plan.spec.inputs_of([plan.layer])[0].name
    return run(plan.spec, params, {source: image[None]}, plan.whole, implementations)


def run_channel(
    plan: ChannelPlan,
    params: Params,
    whole: Mapping[str, jax.Array],
    channel: jax.Array,
    implementations: Mapping[str, str] | None = None,
) -> jax.Array:
    """One channel of a layer, for one image.

    Args:
        plan: From `plan_channel`.
        params: Weights by layer and name.
        whole: From `run_whole`, of one image in the model's input units.
        channel: Which channel, an integer scalar.
        implementations: Which implementation each node is computed in, by node name.

    Returns:
        [*spatial]: the channel's map; a scalar for a layer without spatial axes.
    """
    implementations = implementations or {}
    single: dict[str, jax.Array] = {}
    for node in plan.single:
        weights = node_weights(node, params)
        if node.name in plan.passing:
            inputs = [single[i] if i in single else _take(whole[i], channel) for i in node.inputs]
            implementation = implementations.get(node.name, DIRECT)
            result = _same_channel(node.op, weights, channel, inputs, implementation)
        else:
            inputs = [whole[node.inputs[0]]]
            one = _ONE_CHANNEL[type(node.op)]
            if _reads_pooled(plan.spec, node, implementations) and inputs[0].size >= _LARGE:
                one = _conv_of_pooled
            result = one(node.op, weights, channel, *inputs)
        single[node.name] = as_narrow_as(inputs[0], result)
    result = single[plan.layer] if plan.single else _take(whole[plan.layer], channel)
    return result[0, ..., 0]


def _take(x: jax.Array, channel: jax.Array) -> jax.Array:
    """One channel, its axis kept."""
    return lax.dynamic_slice_in_dim(x, channel, 1, axis=-1)


def _same_channel(
    op: Any, weights: Weights, channel: jax.Array, inputs: list[jax.Array], implementation: str
) -> jax.Array:
    """Channel k of the result from channel k of the inputs."""
    if isinstance(op, DepthwiseConv):
        kernel = lax.dynamic_slice_in_dim(weights["kernel"], channel, 1, axis=-2)
        rest = {role: _take(w, channel) for role, w in weights.items() if role != "kernel"}
        # Under vmap every unit has a kernel of its own, which is fast only this way.
        return depthwise_sum(op, {"kernel": kernel, **rest}, inputs[0])
    if isinstance(op, Affine):
        scale, offset = (
            _take(jnp.asarray(numbers, inputs[0].dtype), channel)
            if len(numbers) > 1
            else numbers[0]
            for numbers in (op.scale, op.offset)
        )
        return inputs[0] * scale + offset
    return compute(
        op,
        {role: _take(w, channel) for role, w in weights.items()},
        *inputs,
        implementation=implementation,
    )


def _reads_pooled(spec: ModelSpec, node: Node, implementations: Mapping[str, str]) -> bool:
    """Whether a node is a convolution of what a pooling in slices leaves."""
    source = node.inputs[0]
    pooled = isinstance(node.op, Conv) and (
        source in spec.by_name and isinstance(spec.by_name[source].op, Pool)
    )
    return pooled and implementations.get(source) in (SLICES, MOVED)


def _conv(
    op: Conv, weights: Weights, channel: jax.Array, x: jax.Array, apart: bool = False
) -> jax.Array:
    """One filter of a convolution, as matrix products and shifted sums.

    `apart` keeps its gradient out of the loop of whatever reads it.
    """
    kernel = _take(weights["kernel"], channel)[..., 0]
    if op.groups > 1:
        size = x.shape[-1] // op.groups
        group = channel // (op.filters // op.groups)
        x = lax.dynamic_slice_in_dim(x, group * size, size, axis=-1)
    padding = pad_amounts(op, x.shape[1:-1])
    result = _one_filter(x, kernel, op.strides, op.dilation, padding, apart)
    return _with_bias(result, weights, channel)


#: A pooling's gradient reads what comes in once for each place in a window; what it is fused
#: with would be worked out as often.
_conv_of_pooled = partial(_conv, apart=True)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4, 5))
def _one_filter(
    x: jax.Array, kernel: jax.Array, strides: Ints, dilation: Ints, padding: Pairs, apart: bool
) -> jax.Array:
    """One output channel of a convolution: kernel [*window, channels], result [batch, …, 1].

    Forward a matrix product gives what each element of the window contributes everywhere,
    and the contributions are shifted and added. The gradient is written out, because that of
    the shifts costs 20 times as much: each element's weights times the shifted cotangent,
    which XLA fuses into one loop.
    """
    window = kernel.shape[:-1]
    sizes = window_counts(x.shape[1:-1], window, strides, dilation, padding)
    offsets = list(np.ndindex(*window))
    x = pad_spatial(x, padding)
    if x.shape[-1] <= _THIN:  # a product over so few channels leaves vector units idle
        planes = lax.optimization_barrier(jnp.moveaxis(x, -1, 0))[..., None]
        terms = [
            window_slice(planes[c], offset, strides, dilation, sizes) * kernel[(*offset, c)]
            for offset in offsets
            for c in range(x.shape[-1])
        ]
    elif all(s == 1 for s in strides):
        planes = x @ _columns(kernel)
        terms = [
            window_slice(planes[..., number, None], offset, strides, dilation, sizes)
            for number, offset in enumerate(offsets)
        ]
    else:  # most positions of the planes would be thrown away
        terms = [
            window_slice(x, offset, strides, dilation, sizes) @ kernel[offset][:, None]
            for offset in offsets
        ]
    return reduce(jnp.add, terms)


def _one_filter_forward(
    x: jax.Array, kernel: jax.Array, strides: Ints, dilation: Ints, padding: Pairs, apart: bool
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _one_filter(x, kernel, strides, dilation, padding, apart), (x, kernel)


def _one_filter_backward(
    strides: Ints,
    dilation: Ints,
    padding: Pairs,
    apart: bool,
    kept: tuple[jax.Array, jax.Array],
    cotangent: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    to_x, to_kernel = shifted_sum_backward(strides, dilation, padding, False, kept, cotangent)
    x, kernel = kept
    if apart and all(s == 1 for s in strides):
        to_x = _as_product(x.shape[1:-1], kernel, dilation, padding, cotangent)
    return to_x, to_kernel


def _as_product(
    sizes: Ints, kernel: jax.Array, dilation: Ints, padding: Pairs, cotangent: jax.Array
) -> jax.Array:
    """The gradient of one filter as a matrix product, into which XLA fuses nothing."""
    window = kernel.shape[:-1]
    spread = pad_spatial(cotangent, turned_padding(window, dilation, padding))
    ones = (1,) * len(window)
    turned = [
        tuple(k - 1 - o for k, o in zip(window, offset, strict=True))
        for offset in np.ndindex(*window)
    ]
    patches = [window_slice(spread, place, ones, dilation, sizes) for place in turned]
    return jnp.concatenate(patches, axis=-1) @ kernel.reshape(-1, kernel.shape[-1])


_one_filter.defvjp(_one_filter_forward, _one_filter_backward)


def _conv_transpose(
    op: ConvTranspose, weights: Weights, channel: jax.Array, x: jax.Array
) -> jax.Array:
    """One filter of a transposed convolution: planes spread out by the stride and added."""
    kernel = lax.dynamic_slice_in_dim(weights["kernel"], channel, 1, axis=-2)[..., 0, :]
    offsets = list(np.ndindex(*op.window))
    planes = lax.split(x @ _columns(kernel), [1] * len(offsets), axis=-1)
    terms = []
    for plane, offset in zip(planes, offsets, strict=True):
        config = [(0, 0, 0)]
        for k, s, d, o, (low, high) in zip(
            op.window, op.strides, op.dilation, offset, op.crop, strict=True
        ):
            config.append((o * d - low, (k - 1 - o) * d - high, s - 1))
        terms.append(lax.pad(plane, jnp.zeros((), plane.dtype), [*config, (0, 0, 0)]))
    return _with_bias(reduce(jnp.add, terms), weights, channel)


def _depthwise_conv(
    op: DepthwiseConv, weights: Weights, channel: jax.Array, x: jax.Array
) -> jax.Array:
    """Output channel c·M + m of a depthwise convolution with multiplier M."""
    source, which = channel // op.multiplier, channel % op.multiplier
    kernel = lax.dynamic_slice_in_dim(weights["kernel"], source, 1, axis=-2)
    one = op.model_copy(update={"multiplier": 1, "bias": False})
    result = depthwise_sum(one, {"kernel": _take(kernel, which)}, _take(x, source))
    return _with_bias(result, weights, channel)


def _dense(op: Dense, weights: Weights, channel: jax.Array, x: jax.Array) -> jax.Array:
    return _with_bias(x @ _take(weights["kernel"], channel), weights, channel)


def _columns(kernel: jax.Array) -> jax.Array:
    """A kernel [*window, channels] as a matrix [channels, window]."""
    return kernel.reshape(-1, kernel.shape[-1]).T


def _with_bias(x: jax.Array, weights: Weights, channel: jax.Array) -> jax.Array:
    return x + _take(weights["bias"], channel) if "bias" in weights else x


#: Operations of which one channel can be computed from the whole input.
_ONE_CHANNEL: dict[type, Callable[..., jax.Array]] = {
    Conv: _conv,
    ConvTranspose: _conv_transpose,
    DepthwiseConv: _depthwise_conv,
    Dense: _dense,
}
