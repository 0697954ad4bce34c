"""`load` and `render`, the functions of `import jaxviz` that need JAX."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import numpy as np

from jaxviz.bundle import Bundle
from jaxviz.bundle.load import load_bundle
from jaxviz.engine.choose import AskedDtype
from jaxviz.engine.renderer import LayerRenderer, RenderResult
from jaxviz.model import Model
from jaxviz.objectives import Objective
from jaxviz.objectives.text import parse_objective
from jaxviz.presets import DEFAULT_PRESET, Preset, get_preset


def load(path: str | os.PathLike[str]) -> Model:
    """Load a bundle or a model file as a Flax model.

    A model file is converted first. A bundle needs neither Keras nor TensorFlow.

    Args:
        path: A bundle, or a model file for which a converter is installed.

    Returns:
        An `nnx.Module`; see `jaxviz.Model`.

    Raises:
        ModelFileError: If the path does not exist or cannot be read.
        ConversionError: If the file has layers that cannot be converted.

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
    """Make the picture that excites each channel of a layer most.

    All channels share one compiled program, which updates many pictures at once. A picture
    depends only on the seed, the layer and the channel, never on the other channels.

    Args:
        model: A converted model.
        layer: Name of a layer or tap; `model.layer_names` lists them.
        channels: Channel numbers; None for all.
        preset: How a picture is made: a preset or its name.
        objective: The objective to maximise instead of the preset's: an `Objective`, or text
            such as `neuron(4, 7)`, `channel - 0.1*total_variation`, `direction("probe.npy")`.
        size: Side of the optimised image or (height, width), in pixels. None for the preset's
            size, or the model's own if the layer allows no other.
        steps: Number of updates; None for the preset's.
        replicates: Number of pictures of each channel, optimised together; None for the preset's.
        seed: The seed of all random draws.
        init: [unit or 1, height, width, channels] starting images in the model's input units;
            None for the preset's.
        chunk: Number of units in one compiled call; None lets the device decide.
        attempts: Number of starts of each unit; the best picture is kept.
        measure: Whether pictures are measured against reference images.
        dtype: Type of the network's arithmetic. `auto` is bfloat16 on an accelerator, if close
            enough to float32.
        on_progress: Called with the number of units that have just finished.

    Returns:
        Images, scores and status of every unit, in the order of `channels`. Images are in
        [0, 1]; `raw` is in the model's input units.

    Raises:
        LayerError: If the layer or a channel does not exist.
        ImageSizeError: If the image is too small, or the layer allows only another size.
        ConfigError: If the preset does not exist, or does not suit the model.
        MemoryLimitError: If not even one unit fits into the device's memory.

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
