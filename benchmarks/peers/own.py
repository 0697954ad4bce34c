"""jaxviz, with the chunk that it would take by itself."""

import numpy as np
from worker import Parts

from jaxviz.bench.stepper import Stepper
from jaxviz.loading import load_bundle
from jaxviz.presets import get_preset


def jaxviz(cell, images, channels, batch):
    bundle = load_bundle(cell["model"])
    preset = get_preset(cell.get("preset", "keras-io"))
    stepper = Stepper(bundle, cell["layer"], preset, size=cell["size"])
    filters = stepper.renderer.units_in_layer
    index = [
        np.arange(first, first + stepper.chunk) % len(images)
        for first in range(0, len(images), stepper.chunk)
    ]
    wanted = [channels[some] for some in index]

    def advance(state, which, count):
        if state is None:  # here, so that its compile is counted
            state = stepper.start(wanted[which], images[index[which]])
        return stepper.advance(state, wanted[which], count)

    def live(images, channels):
        found = []
        for some in index:
            after = stepper.advance(
                stepper.start(channels[some] % filters, images[some]), channels[some] % filters, 1
            )
            found.append(np.asarray(after.responded))
        return np.concatenate(found)[: len(images)]

    def read(state):
        return stepper.images(state, wanted[0])

    about = f"chunk {stepper.chunk}"
    return Parts([None] * len(wanted), advance, read, stepper.chunk, about, live, filters)
