"""PyTorch with its own functions, in the layout that is faster for the cell.

The network comes as plain data (`.json` and `.npz` beside the `.keras` file), so nothing of
Keras stands between PyTorch and its kernels.
"""

import json
import os
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from frameworks import RATE, batches, trim
from worker import Parts

ACTIVATIONS = {
    "relu": lambda x, max_value=None: F.relu(x) if max_value is None else x.clamp(0, max_value),
    "silu": F.silu,
    "sigmoid": torch.sigmoid,
    "linear": lambda x: x,
}


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
    """(x, what is left to pad): even amounts are left to the operation itself."""
    if all(low == high for low, high in amounts):
        return x, [low for low, _ in amounts]
    flat = [n for low, high in reversed(amounts) for n in (low, high)]
    return F.pad(x, flat, value=value), [0] * len(amounts)


def convolution(op, w, x, groups):
    x, padding = padded(x, pads(op, x.shape[2:]))
    return F.conv2d(x, w["kernel"], w.get("bias"), op["strides"], padding, op["dilation"], groups)


def pool(op, w, x):
    if op["kind"] == "max":
        x, padding = padded(x, pads(op, x.shape[2:]), value=-torch.inf)
        return F.max_pool2d(x, op["window"], op["strides"], padding)
    amounts = pads(op, x.shape[2:])
    assert all(low == high for low, high in amounts), "no such network here"
    padding = [low for low, _ in amounts]
    return F.avg_pool2d(x, op["window"], op["strides"], padding, count_include_pad=False)


def merge(op, w, *inputs):
    result = inputs[0]
    for other in inputs[1:]:
        result = result + other if op["kind"] == "add" else result * other
    return result


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
    "global_pool": lambda op, w, x: x.mean((2, 3), keepdim=op["keepdims"]),
    "reshape": lambda op, w, x: x.reshape(len(x), op["shape"][-1], *op["shape"][:-1]),
    "affine": lambda op, w, x: x * op["scale"][0] + op["offset"][0],
    "identity": lambda op, w, x: x,
}


def kernel(op, role, array, layout):
    """A weight as PyTorch has it: kernels are [out, in, height, width]."""
    if role != "kernel":
        return torch.from_numpy(array)
    if op["op"] == "depthwise_conv":
        height, width, channels, multiplier = array.shape
        array = array.reshape(height, width, 1, channels * multiplier)
    tensor = torch.from_numpy(np.ascontiguousarray(array.transpose(3, 2, 0, 1)))
    return tensor.contiguous(memory_format=layout)


def upstream(nodes, layer):
    wanted, kept = {layer}, []
    for node in reversed(nodes):
        if node["name"] in wanted:
            wanted.update(node["inputs"])
            kept.insert(0, node)
    return kept


def network(cell, layout):
    """A function from images to the layer, NCHW."""
    path = Path(cell["model"])
    spec = json.loads(path.with_suffix(".json").read_text())
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
        e, f = trim(seen.shape[2]), trim(seen.shape[3])
        own = seen[torch.arange(len(seen)), channels]
        loss = own[:, e : own.shape[1] - e, f : own.shape[2] - f].mean((1, 2)).sum()
        (gradient,) = torch.autograd.grad(loss, images)
        squares = (gradient**2).sum((1, 2, 3), keepdim=True)
        with torch.no_grad():
            return images + RATE * gradient * torch.rsqrt(squares.clamp(min=1e-12))

    return step


def torch_batched(cell, images, channels, batch):
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    layouts = {"NCHW": torch.contiguous_format, "NHWC": torch.channels_last}
    parts = [
        (x.transpose(0, 3, 1, 2), torch.from_numpy(c)) for x, c in batches(images, channels, batch)
    ]

    def start(x, layout):
        return torch.from_numpy(np.ascontiguousarray(x)).contiguous(memory_format=layout)

    steps, seconds = {}, {}
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
    return images.detach().numpy().transpose(0, 2, 3, 1)
