"""jaxviz, with the chunk and the lanes that it chooses by itself."""

import time
from threading import Event

import numpy as np

from benchmarks.peers.parts import Parts
from jaxviz.bench.stepper import Stepper, responded
from jaxviz.bundle.load import load_bundle
from jaxviz.engine.renderer import LayerRenderer
from jaxviz.presets import get_preset


def jaxviz(cell, images, channels, batch):
    bundle, preset = load_bundle(cell["model"]), get_preset(cell["preset"])
    # First, because the search for the chunk is remembered.
    whole = None if "candidates" in cell else whole_layer(bundle, cell, preset)
    # Whether a unit has a gradient does not depend on the chunk.
    chunk = 4 if "candidates" in cell else None
    line = images.ndim == 3  # a signal becomes an image of one row
    images = images[:, None] if line else images
    stepper = Stepper(bundle, cell["layer"], preset, size=cell["size"], chunk=chunk)
    filters, units = stepper.renderer.setup.units, stepper.units
    index = [
        np.arange(first, first + units) % len(images) for first in range(0, len(images), units)
    ]

    def advance(states, which, count):
        some = index[which]
        if states is None:  # here, so that the compile counts
            states = stepper.start(channels[some], images[some])
        return stepper.advance(states, channels[some], count)

    def read(states):
        found = stepper.images(states, channels[index[0]])
        return found[:, 0] if line else found

    def live(images, channels):
        channels, found = channels % filters, []
        images = images[:, None] if line else images
        for some in index:
            states = stepper.start(channels[some], images[some])
            found.append(responded(stepper.advance(states, channels[some], 1)))
        return np.concatenate(found)[: len(images)]

    about = f"{stepper.lanes} lanes of {stepper.chunk}"
    tuning = stepper.tuning_seconds
    return Parts([None] * len(index), advance, read, units, about, live, filters, tuning, whole)


def whole_layer(bundle, cell, preset):
    """Pace of a run, which compiles the step of a small layer with less effort."""
    began = time.perf_counter()
    renderer = LayerRenderer.for_layer(bundle, cell["layer"], preset, size=cell["size"])
    units = renderer.setup.units
    renderer = renderer.compiled(units, Event()).settled(units)
    first = time.perf_counter() - began
    effort = renderer.execution.effort or "all"
    if effort == "all":  # its pace is the one measured beside the peers
        return {"first_seconds": first}
    stepper = Stepper(
        bundle, cell["layer"], preset,
        size=cell["size"], chunk=renderer.execution.chunk, effort=effort,
    )  # fmt: skip
    channels = np.arange(stepper.units) % renderer.setup.units
    states = stepper.advance(stepper.start(channels), channels, 1)
    best, end = np.inf, time.perf_counter() + 1.0
    while time.perf_counter() < end:
        states, seconds = stepper.timed(states, channels, 10)
        best = min(best, seconds / 10 / stepper.units)
    return {"first_seconds": first, "milliseconds": 1e3 * best}
