"""What `import jaxviz` offers."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import numpy as np

from jaxviz.bundle import Bundle
from jaxviz.bundle.load import load_bundle
from jaxviz.engine.execution import AskedDtype
from jaxviz.engine.renderer import LayerRenderer, RenderResult
from jaxviz.model import Model
from jaxviz.objectives import Objective
from jaxviz.objectives.text import parse_objective
from jaxviz.presets import DEFAULT_PRESET, Preset, get_preset


def load(path: str | os.PathLike[str]) -> Model:
    """The Flax model of a bundle or a model file.

    Args:
        path: A bundle, or a model file where a converter for it is installed.

    Returns:
        An `nnx.Module`; see `jaxviz.Model`.

    Raises:
        ModelFileError: If there is nothing there that can be read.
        ConversionError: If the file holds layers that cannot be converted.

    Example:
        >>> import jaxviz
        >>> jaxviz.load(jaxviz.example("galaxy_cnn.keras")).spec.convolutions
        ('conv1', 'conv2', 'conv3', 'conv4', 'conv5')
    """
    return Model(load_bundle(path))


def render(
    model: Model | Bundle,
    layer: str,
    channels: Sequence[int] | None = None,
    *,
    preset: str | Preset = DEFAULT_PRESET,
    objective: str | Objective | None = None,
    size: int | tuple[int, int] | None = None,
    steps: int | None = None,
    replicates: int | None = None,
    seed: int = 0,
    init: np.ndarray | None = None,
    chunk: int | None = None,
    attempts: int = 1,
    measure: bool = False,
    dtype: AskedDtype = "auto",
    on_progress: Callable[[int], None] | None = None,
) -> RenderResult:
    """The picture that excites each channel of a layer most.

    Args:
        model: A converted model.
        layer: Name of a layer or tap; `model.layer_names` lists them.
        channels: Which channels; all of them where left out.
        preset: How a picture is made: a name or a `Preset`.
        objective: What is maximised, instead of the preset's: an `Objective`, or text such as
            `neuron(4, 7)`, `channel - 0.1*total_variation`, `direction("probe.npy")`.
        size: Side of the optimised image in pixels, or (height, width).
        steps: Updates; the preset's where left out.
        replicates: Pictures of each unit; the preset's where left out.
        seed: A unit's start depends on this, its layer and its channel, and on nothing else.
        init: Starting images in the model's input units,
            [unit or 1, height, width, channels], instead of the preset's.
        chunk: Units in one compiled call.
        attempts: Starts of which the best is kept.
        measure: Whether pictures are also measured against reference images.
        dtype: What the network is computed in; `auto` is bfloat16 on an accelerator.
        on_progress: Called with the number of units that have just been finished.

    Returns:
        Images, scores and status of every unit, in the order of `channels`.

    Raises:
        LayerError: If the layer or a channel does not exist.
        ImageSizeError: If the image is too small for the layer.
        ConfigError: If the preset does not exist.

    Example:
        >>> import jaxviz
        >>> model = jaxviz.load(jaxviz.example("galaxy_cnn.keras"))
        >>> result = jaxviz.render(model, "conv1", [0, 3], size=32, steps=2)
        >>> result.images.shape[0], result.channels.tolist()
        (2, [0, 3])
    """
    chosen = get_preset(preset) if isinstance(preset, str) else preset
    if isinstance(objective, str):
        objective = parse_objective(objective, chosen.objective)
    if init is not None and size is None:
        size = (init.shape[1], init.shape[2])
    renderer = LayerRenderer.for_layer(
        model,
        layer,
        chosen.override(steps=steps, objective=objective, replicates=replicates),
        size=size,
        chunk=chunk,
        attempts=attempts,
        measure=measure,
        dtype=dtype,
    )
    wanted = renderer.setup.check_channels(channels)
    if init is not None:
        init = renderer.setup.check_init(init, len(wanted))
    ready = renderer.settled(len(wanted))
    return ready.render(wanted, seed, init, on_progress or (lambda count: None))
