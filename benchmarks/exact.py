"""Compares a cell's float32 gradients with float64: those of jaxviz and of XLA's plain network.

    python -m benchmarks.exact [--only TEXT]... [--images N] [-o FILE.json]

The images are noise, one for each of the layer's first channels. `plain` is the network with
XLA's implementation of every operation. Where every ReLU and maximum selects as in float64, the
cosine is within 1e-9 of 1. Where one selects otherwise, part of the gradient differs, with any
float32 implementation.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.cells import CELLS
from benchmarks.environment import CACHE, RESULTS, build_networks, peers_python, provenance
from jaxviz.bundle.load import load_bundle
from jaxviz.engine.renderer import LayerRenderer
from jaxviz.model import run
from jaxviz.model.dispatch import prepare_weights
from jaxviz.objectives import trimmed_mean
from jaxviz.presets import get_preset


def gradients(
    spec: Any, weights: Any, implementations: dict[str, str], layer: str, images: np.ndarray
) -> np.ndarray:
    """[image, value] gradients in the type of the images; image n maximises channel n."""
    source = spec.inputs_of([layer])[0].name

    def score(image: jax.Array, channel: jax.Array) -> jax.Array:
        seen = run(spec, params, {source: image[None]}, [layer], implementations)[layer][0]
        return trimmed_mean(seen[..., channel], 2)

    params = jax.tree.map(lambda a: np.asarray(a, images.dtype), weights)
    made = jax.jit(jax.vmap(jax.grad(score)))(images, np.arange(len(images)))
    return np.asarray(made, np.float64).reshape(len(images), -1)


def compared(found: np.ndarray, exact: np.ndarray) -> dict[str, float]:
    """Least cosine, number of images that decide otherwise, and median relative error."""
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(exact, axis=1)
    cosines = (found * exact).sum(axis=1) / lengths
    errors = np.linalg.norm(found - exact, axis=1) / np.linalg.norm(exact, axis=1)
    return {
        "least_cosine": float(cosines.min()),
        "decided_otherwise": int((cosines < 1 - 1e-9).sum()),
        "median_error": float(np.median(errors)),
    }


def of_cell(network: str, layer: str, size: int, count: int) -> dict[str, Any]:
    """The plain network and jaxviz in float32, each against float64."""
    bundle = load_bundle(CACHE / f"{network}.keras")
    renderer = LayerRenderer.for_layer(bundle, layer, get_preset("keras-io"), size=size)
    spec, count = bundle.spec, min(count, renderer.setup.units)
    images = np.random.default_rng(0).uniform(-0.125, 0.125, (count, *renderer.setup.shape))
    own = prepare_weights(spec, bundle.weights, renderer.execution.implementations, [layer])
    exact = gradients(spec, bundle.weights, {}, layer, images)
    there = np.linalg.norm(exact, axis=1) > 0
    narrow = images.astype(np.float32)
    plain = gradients(spec, bundle.weights, {}, layer, narrow)
    ours = gradients(spec, own, renderer.execution.implementations, layer, narrow)
    return {
        "network": network,
        "layer": layer,
        "size": size,
        "images": int(there.sum()),
        "plain": compared(plain[there], exact[there]),
        "jaxviz": compared(ours[there], exact[there]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "exact.json")
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    if not all((CACHE / f"{network}.keras").exists() for network, *_ in CELLS):
        build_networks(peers_python())
    result: dict[str, Any] = {**provenance(), "cells": []}
    options.output.parent.mkdir(exist_ok=True)
    for cell in CELLS:
        if options.only and not any(text in "/".join(map(str, cell)) for text in options.only):
            continue
        result["cells"].append(of_cell(*cell, options.images))
        print(json.dumps(result["cells"][-1]), flush=True)
        options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
