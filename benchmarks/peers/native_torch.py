"""The published step in PyTorch's own functions, in the layout that is faster for the cell.

The network is plain data (`.json` and `.npz` beside the `.keras` file), so PyTorch calls its
kernels without Keras in between.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.peers.frameworks import RATE, batches, trim
from benchmarks.peers.parts import Parts

ACTIVATIONS = {
    "relu": lambda x, max_value=None: F.relu(x) if max_value is None else x.clamp(0, max_value),
    "silu": F.silu,
    "sigmoid": torch.sigmoid,
    "linear": lambda x: x,
    "tanh": torch.tanh,
    "leaky_relu": lambda x, negative_slope=0.2: F.leaky_relu(x, negative_slope),
    "elu": lambda x, alpha=1.0: F.elu(x, alpha),
    "gelu": lambda x, approximate=0: F.gelu(x, approximate="tanh" if approximate else "none"),
    "hard_silu": F.hardswish,
    "hard_sigmoid": F.hardsigmoid,
}
CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d}
TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d}
MAXIMA = {1: F.max_pool1d, 2: F.max_pool2d}
MEANS = {1: F.avg_pool1d, 2: F.avg_pool2d}


def pads(op, spatial):
    """(before, after) of each spatial axis."""
    if op["padding"] == "valid":
        return [(0, 0)] * len(spatial)
    if op["padding"] != "same":
        return op["padding"]
    dilation = op.get("dilation") or [1] * len(spatial)
    found = []
    for n, k, s, d in zip(spatial, op["window"], op["strides"], dilation, strict=True):
        total = max(0, (-(-n // s) - 1) * s + (k - 1) * d + 1 - n)
        found.append((total // 2, total - total // 2))
    return found


def padded(x, amounts, value=0.0):
    """(x, padding for the operation); only uneven amounts are padded here."""
    if all(low == high for low, high in amounts):
        return x, [low for low, _ in amounts]
    flat = [n for low, high in reversed(amounts) for n in (low, high)]
    return F.pad(x, flat, value=value), [0] * len(amounts)


def convolution(op, w, x, groups):
    x, padding = padded(x, pads(op, x.shape[2:]))
    apply = CONVOLUTIONS[len(op["window"])]
    return apply(x, w["kernel"], w.get("bias"), op["strides"], padding, op["dilation"], groups)


def transposed(op, w, x):
    even = [max(0, min(pair)) for pair in op["crop"]]
    more = [max(0, -high) for _, high in op["crop"]]
    x = TRANSPOSED[len(even)](
        x, w["kernel"], w.get("bias"), op["strides"], even, more, 1, op["dilation"]
    )
    for axis, ((low, high), done) in enumerate(zip(op["crop"], even, strict=True), start=2):
        end = max(0, high) - done
        x = x.narrow(axis, low - done, x.shape[axis] - (low - done) - end)
    return x


def pool(op, w, x):
    if op["kind"] == "max":
        x, padding = padded(x, pads(op, x.shape[2:]), value=-torch.inf)
        return MAXIMA[len(padding)](x, op["window"], op["strides"], padding)
    amounts = pads(op, x.shape[2:])
    average = MEANS[len(amounts)]
    if all(low == high for low, high in amounts):
        padding = [low for low, _ in amounts]
        return average(x, op["window"], op["strides"], padding, count_include_pad=False)
    ones, _ = padded(torch.ones((1, 1, *x.shape[2:])), amounts)
    x, _ = padded(x, amounts)
    return average(x, op["window"], op["strides"]) / average(ones, op["window"], op["strides"])


def merge(op, w, *inputs):
    result = inputs[0]
    for other in inputs[1:]:
        result = result + other if op["kind"] == "add" else result * other
    return result


def layer_norm(op, w, x):
    assert op["axes"] == [-1]
    found = F.layer_norm(
        x.movedim(1, -1), x.shape[1:2], w.get("gamma"), w.get("beta"), op["epsilon"]
    )
    return found.movedim(-1, 1)


def affine(op, w, x):
    scale, offset = (torch.tensor(op[name]) for name in ("scale", "offset"))
    if scale.numel() == offset.numel() == 1:
        return x * scale + offset
    return x * across(scale, x) + across(offset, x)


def across(channels, x):
    return channels.reshape(-1, *(1 for _ in x.shape[2:]))


def crop(op, w, x):
    for axis, (low, high) in enumerate(op["amounts"], start=2):
        x = x.narrow(axis, low, x.shape[axis] - low - high)
    return x


def batch_norm(op, w, x):
    stored = (w["mean"], w["variance"], w.get("gamma"), w.get("beta"))
    return F.batch_norm(x, *stored, training=False, eps=op["epsilon"])


OPS = {
    "conv": lambda op, w, x: convolution(op, w, x, op["groups"]),
    "depthwise_conv": lambda op, w, x: convolution(op, w, x, x.shape[1]),
    "batch_norm": batch_norm,
    "activation": lambda op, w, x: ACTIVATIONS[op["function"]](x, **op["arguments"]),
    "pool": pool,
    "merge": merge,
    "concatenate": lambda op, w, *inputs: torch.cat(inputs, dim=1),
    "pad": lambda op, w, x: F.pad(x, [n for pair in reversed(op["amounts"]) for n in pair]),
    "global_pool": lambda op, w, x: x.mean(tuple(range(2, x.ndim)), keepdim=op["keepdims"]),
    "conv_transpose": transposed,
    "layer_norm": layer_norm,
    "crop": crop,
    "dense": lambda op, w, x: F.linear(x.movedim(1, -1), w["kernel"], w.get("bias")).movedim(-1, 1),
    "scale": lambda op, w, x: x * across(w["scale"], x),
    "reshape": lambda op, w, x: x.reshape(len(x), op["shape"][-1], *op["shape"][:-1]),
    "affine": affine,
    "identity": lambda op, w, x: x,
}


def kernel(op, role, array, layout):
    """A weight as PyTorch has it: kernels are [out, in, height, width]."""
    if role != "kernel":
        return torch.from_numpy(array)
    if op["op"] == "depthwise_conv":
        array = array.reshape(*array.shape[:-2], 1, -1)
    spatial = range(array.ndim - 2)
    order = (array.ndim - 1, array.ndim - 2, *spatial)
    tensor = torch.from_numpy(np.ascontiguousarray(array.transpose(order)))
    return tensor.contiguous(memory_format=layout) if tensor.ndim == 4 else tensor


def upstream(nodes, layer):
    wanted = {layer}
    kept: list[dict[str, Any]] = []
    for node in reversed(nodes):
        if node["name"] in wanted:
            wanted.update(node["inputs"])
            kept.insert(0, node)
    return kept


def network(cell, layout):
    """A function from images to the layer, NCHW."""
    path = Path(cell["plain"])
    spec = json.loads(path.read_text())
    nodes = upstream(spec["nodes"], cell["layer"])
    with np.load(path.with_suffix(".npz")) as stored:
        weights = {
            node["name"]: {
                role: kernel(node["op"], role, stored[f"{node['layer']}|{name}"], layout)
                for role, name in node["weights"].items()
            }
            for node in nodes
        }
    source = spec["inputs"][0]["name"]

    def forward(x):
        values = {source: x}
        for node in nodes:
            inputs = [values[name] for name in node["inputs"]]
            op = node["op"]
            values[node["name"]] = OPS[op["op"]](op, weights[node["name"]], *inputs)
        return values[cell["layer"]]

    return forward


def stepper(cell, layout):
    forward = network(cell, layout)

    def step(images, channels):
        images = images.detach().requires_grad_(True)
        seen = forward(images)
        own = seen[torch.arange(len(seen)), channels]
        sides = (slice(trim(n), n - trim(n)) for n in own.shape[1:])
        loss = own[(slice(None), *sides)].flatten(1).mean(1).sum()
        (gradient,) = torch.autograd.grad(loss, images)
        squares = (gradient**2).sum(tuple(range(1, gradient.ndim)), keepdim=True)
        with torch.no_grad():
            return images + RATE * gradient * torch.rsqrt(squares.clamp(min=1e-12))

    return step


def torch_batched(cell, images, channels, batch):
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    layouts = {"NCHW": torch.contiguous_format, "NHWC": torch.channels_last}
    if images.ndim == 3:
        del layouts["NHWC"]
    parts = [
        (np.moveaxis(x, -1, 1), torch.from_numpy(c)) for x, c in batches(images, channels, batch)
    ]

    def start(x, layout):
        return torch.from_numpy(np.ascontiguousarray(x)).contiguous(memory_format=layout)

    steps: dict[str, Any] = {}
    seconds: dict[str, float] = {}
    for name, layout in layouts.items():
        steps[name], x = stepper(cell, layout), start(parts[0][0], layout)
        x = steps[name](x, parts[0][1])
        began = time.perf_counter()
        while time.perf_counter() - began < 0.3:
            once = time.perf_counter()
            x = steps[name](x, parts[0][1])
            took = time.perf_counter() - once
            seconds[name] = min(seconds.get(name, took), took)
    best = min(seconds, key=seconds.__getitem__)

    def advance(state, which, count):
        for _ in range(count):
            state = steps[best](state, parts[which][1])
        return state

    states = [start(x, layouts[best]) for x, _ in parts]
    return Parts(states, advance, shown, len(states[0]), best)


def shown(images):
    """NHWC."""
    return np.moveaxis(images.detach().numpy(), 1, -1)
