"""Many units of one layer at once: vmap over channels, chunks of one shape, compiled once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from jaxviz.ascent import Ascent, State, View
from jaxviz.atlas.columns import UnitStatus
from jaxviz.bundle import Bundle
from jaxviz.errors import ConfigError, ImageSizeError, LayerError
from jaxviz.model import Model
from jaxviz.model.lowerings import choose_forms
from jaxviz.model.select import plan_channel, run_channel
from jaxviz.objectives import trimmed_mean
from jaxviz.presets import DEFAULT_PRESET, Preset, get_preset
from jaxviz.ranges import Units
from jaxviz.spec import ModelSpec

#: JAX's generator for every key; named in the manifest.
PRNG = "threefry2x32"
# Bytes of activations that a chunk may hold on a CPU before it falls out of the cache,
# and the bounds within which more units at once were measured to pay.
_CPU_CHUNK_BYTES = 24 << 20
_CPU_CHUNK = (4, 16)
_DEVICE_CHUNK = 64


@dataclass(frozen=True)
class Render:
    """The pictures of some units of one layer.

    Attributes:
        images: [unit, height, width, channels] in [0, 1], as shown.
        raw: [unit, height, width, channels]: the optimised images in the model's input
            units, before crop and display.
        scores: [unit] objective on `raw`.
        initial_scores: [unit] the same on the starting images.
        status: [unit] `UnitStatus`: 1 done, 2 dead (no gradient at any step), 3 failed.
        channels: [unit] which channel each unit is.
    """

    images: Float[np.ndarray, "unit height width channels"]
    raw: Float[np.ndarray, "unit full_height full_width channels"]
    scores: Float[np.ndarray, " unit"]
    initial_scores: Float[np.ndarray, " unit"]
    status: UInt8[np.ndarray, " unit"]
    channels: Int[np.ndarray, " unit"]


def render(
    model: Model | Bundle,
    layer: str,
    channels: Sequence[int] | None = None,
    *,
    preset: str | Preset = DEFAULT_PRESET,
    size: int | tuple[int, int] | None = None,
    steps: int | None = None,
    seed: int = 0,
    init: np.ndarray | None = None,
    chunk: int | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Render:
    """The picture that excites each channel of a layer most.

    Args:
        model: A converted model.
        layer: Name of a layer or tap; `model.layer_names` lists them.
        channels: Which channels; all of them where left out.
        preset: How a picture is made: a name or a `Preset`.
        size: Side of the optimised image in pixels, or (height, width).
        steps: Updates; the preset's where left out.
        seed: A unit's start depends on this, its layer and its channel, and on nothing else.
        init: Starting images in the model's input units,
            [unit or 1, height, width, channels], instead of the preset's.
        chunk: Units in one compiled call.
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
    if init is not None and size is None:
        size = (init.shape[1], init.shape[2])
    renderer = LayerRenderer(model, layer, chosen.override(steps=steps), size=size, chunk=chunk)
    wanted = renderer.check_channels(channels)
    if init is not None:
        init = renderer.check_init(init, len(wanted))
    parts = []
    for first in range(0, len(wanted), renderer.chunk):
        some = wanted[first : first + renderer.chunk]
        own = None if init is None else init[first : first + renderer.chunk]
        parts.append(renderer.render_chunk(some, seed, init=own))
        if on_progress is not None:
            on_progress(len(some))
    return join(parts)


def join(parts: Sequence[Render]) -> Render:
    """Several renders of the same layer, one after the other."""
    names = Render.__dataclass_fields__
    return Render(**{n: np.concatenate([getattr(p, n) for p in parts]) for n in names})


class LayerRenderer:
    """Makes pictures of one layer's units; compiles once, however many there are.

    Args:
        model: A converted model.
        layer: Name of a node.
        preset: How a picture is made.
        size: Side of the image or (height, width); the preset's, or the model's own where
            the layer allows no other.
        chunk: Units in one compiled call; chosen for the device where left out.

    Attributes:
        shape: (height, width, channels) of the optimised image.
        shown_shape: The same of the picture shown.
        units_in_layer: How many channels the layer has.
        chunk: Units in one compiled call.
        forms: The form chosen for each node.
        traces: How often each stage was compiled, by name.
    """

    def __init__(
        self,
        model: Model | Bundle,
        layer: str,
        preset: Preset,
        *,
        size: int | tuple[int, int] | None = None,
        chunk: int | None = None,
    ) -> None:
        spec = model.spec
        self.spec, self.layer, self.preset = spec, layer, preset
        spec.node(layer)
        params: Any = model.arrays() if isinstance(model, Model) else model.weights
        self.shape = image_shape(spec, layer, preset, size, params)
        shapes = spec.shapes(self.shape, targets=[layer])
        self.units_in_layer = shapes[layer][-1] or 0
        self.plan = plan_channel(spec, layer, shapes)
        self.forms = choose_forms(spec, [layer], jax.default_backend())
        self.chunk = chunk or _default_chunk(shapes, self.units_in_layer)
        self.units = Units(*preset.units, spec.range)
        self.units.check_channels(self.shape[-1])
        self.shown_shape = (*preset.display.size(*self.shape[:2]), self.shape[2])
        self.traces = {"start": 0, "step": 0, "look": 0}
        layers = {node.layer for node in spec.upstream([layer])}
        self._params = jax.device_put({k: dict(v) for k, v in params.items() if k in layers})
        self._compile()

    def render_chunk(
        self, channels: Sequence[int], seed: int, init: np.ndarray | None = None
    ) -> Render:
        """Make the pictures of at most `chunk` channels; a smaller number is padded.

        Args:
            channels: Channel numbers.
            seed: The user's seed.
            init: Starting images in the model's input units, one per channel or one for all.
        """
        count = len(channels)
        padded = jnp.asarray(_pad(np.asarray(channels, np.int32), self.chunk))
        if init is None:
            state = self._start(unit_keys(seed, self.layer, padded))
        else:
            images = np.broadcast_to(init, (count, *self.shape)).astype(np.float32)
            state = self._start_from(jnp.asarray(_pad(images, self.chunk)))
        initial = self._look(self._params, state, padded).score
        state = self._ascend(state, padded)
        view = jax.device_get(self._look(self._params, state, padded))
        initial, responded = jax.device_get((initial, state.responded))
        return Render(
            images=view.shown[:count],
            raw=view.raw[:count],
            scores=view.score[:count],
            initial_scores=np.asarray(initial)[:count],
            status=_status(view, np.asarray(responded))[:count],
            channels=np.asarray(channels, np.int64),
        )

    def check_channels(self, channels: Sequence[int] | None) -> tuple[int, ...]:
        """The channels asked for, or all; LayerError for those that do not exist."""
        if channels is None:
            return tuple(range(self.units_in_layer))
        if bad := [c for c in channels if not 0 <= c < self.units_in_layer]:
            raise LayerError(
                f"layer {self.layer!r} has no channel {', '.join(map(str, bad[:5]))}",
                hint=f"It has {self.units_in_layer} channels: 0 to {self.units_in_layer - 1}.",
            )
        return tuple(int(c) for c in channels)

    def check_init(self, init: np.ndarray, units: int) -> np.ndarray:
        """Starting images, one per unit; ImageSizeError if their shape does not fit."""
        if init.ndim != 4 or init.shape[0] not in (1, units) or init.shape[1:] != self.shape:
            raise ImageSizeError(
                f"the starting images have shape {init.shape}, expected {(units, *self.shape)}"
            )
        return np.broadcast_to(init, (units, *self.shape))

    def _ascend(self, state: State, channels: jax.Array) -> State:
        # XLA runs convolutions inside a loop body 2.4 to 3.6 times slower on a CPU.
        if jax.default_backend() != "cpu":
            return self._all_steps(self._params, state, channels)
        for number in range(self.preset.steps):
            state = self._step(self._params, state, channels)
            if number % 8 == 7:  # so that an interrupt finds little work under way
                state.responded.block_until_ready()
        return state

    def _compile(self) -> None:
        """Set up the jitted stages; each is traced once, at its first use."""

        def ascent(params: Any) -> Ascent:
            return Ascent(
                score=partial(self._score, params),
                parameterization=self.preset.parameterization,
                optimizer=optimizer,
                units=self.units,
                display=self.preset.display,
                shape=self.shape,
            )

        def start(keys: jax.Array) -> State:
            self.traces["start"] += 1
            return jax.vmap(ascent({}).start)(keys)

        def start_from(images: jax.Array) -> State:
            self.traces["start"] += 1
            return jax.vmap(ascent({}).start_from)(images)

        def step(params: Any, state: State, channels: jax.Array) -> State:
            self.traces["step"] += 1
            return jax.vmap(ascent(params).step)(state, channels)

        def all_steps(params: Any, state: State, channels: jax.Array) -> State:
            body = lambda _, state: step(params, state, channels)  # noqa: E731
            return jax.lax.fori_loop(0, self.preset.steps, body, state)

        def look(params: Any, state: State, channels: jax.Array) -> View:
            self.traces["look"] += 1
            return jax.vmap(ascent(params).look)(state, channels)

        optimizer = self.preset.optimizer.build()
        self._start, self._start_from = jax.jit(start), jax.jit(start_from)
        self._step = jax.jit(step, donate_argnums=1)
        self._all_steps = jax.jit(all_steps, donate_argnums=1)
        self._look = jax.jit(look)

    def _score(self, params: Any, image: jax.Array, channel: jax.Array) -> jax.Array:
        activation = run_channel(self.plan, params, image, channel, self.forms)
        return trimmed_mean(activation, self.preset.trim)


def unit_keys(seed: int, layer: str, channels: jax.Array, replicate: int = 0) -> jax.Array:
    """One key per unit: a function of seed, layer name, channel and replicate alone.

    Args:
        seed: Any integer.
        layer: The layer's name; a stable digest of it is folded in.
        channels: [unit] channel numbers.
        replicate: Which of several attempts.
    """
    digest = int.from_bytes(hashlib.sha256(layer.encode()).digest()[:4], "big")
    key = jax.random.key(seed, impl=PRNG)
    key = jax.random.fold_in(jax.random.fold_in(key, digest), replicate)
    return jax.vmap(partial(jax.random.fold_in, key))(channels)


def image_shape(
    spec: ModelSpec,
    layer: str,
    preset: Preset,
    size: int | tuple[int, int] | None,
    params: Any = None,
) -> tuple[int, int, int]:
    """(height, width, channels) of the image to optimise for a layer.

    Raises:
        ConfigError: If the layer does not hang on one image.
        ImageSizeError: If the size is too small, or a dense layer allows only one size.
    """
    inputs = spec.inputs_of([layer])
    channels = inputs[0].shape[-1] if len(inputs) == 1 and len(inputs[0].shape) == 3 else None
    if channels is None:
        found = ", ".join(f"{i.name} {i.shape}" for i in inputs) or "no input"
        raise ConfigError(
            f"layer {layer!r} hangs on {found}; an atlas needs one image (height, width, channels)"
        )
    fixed = _fixed_size(spec, layer, inputs[0].shape[:2])
    wanted = (size, size) if isinstance(size, int) else size
    if wanted is None:
        wanted = fixed or (preset.size, preset.size)
    if fixed is not None and wanted != fixed:
        raise ImageSizeError(
            f"layer {layer!r} lies behind a dense layer and takes images of "
            f"{fixed[0]}×{fixed[1]}, not {wanted[0]}×{wanted[1]}",
            hint="Leave out --size.",
        )
    try:
        spec.shapes((*wanted, channels), targets=[layer])
    except ImageSizeError as error:
        least = spec.least_image_size(layer)
        hint = f"The least size that works is {least}: --size {least}." if least else ""
        raise ImageSizeError(error.summary, details=error.details, hint=hint) from None
    return (*wanted, channels)


def _fixed_size(spec: ModelSpec, layer: str, own: tuple[int | None, ...]) -> tuple[int, int] | None:
    """The model's own input size, if the layer depends on weights that fit no other."""
    height, width = own
    if height is None or width is None:
        return None
    shapes = spec.shapes(targets=[layer])
    doubled = (2 * height, 2 * width, spec.inputs_of([layer])[0].shape[-1])
    try:
        other = spec.shapes(doubled, targets=[layer])
        for node in spec.upstream([layer]):
            before = node.op.weight_shapes(*(shapes[i] for i in node.inputs))
            if before != node.op.weight_shapes(*(other[i] for i in node.inputs)):
                return height, width
    except (ImageSizeError, ValueError):
        return height, width
    return None


def _default_chunk(shapes: dict[str, Any], units: int) -> int:
    if jax.default_backend() != "cpu":
        return min(_DEVICE_CHUNK, units)
    largest = max(int(np.prod([n or 1 for n in shape])) * 4 for shape in shapes.values())
    low, high = _CPU_CHUNK
    return min(max(low, min(high, _CPU_CHUNK_BYTES // (3 * largest))), units)


def _pad(values: np.ndarray, count: int) -> np.ndarray:
    """The first axis filled up to `count` by repeating the last entry."""
    return np.concatenate([values, np.repeat(values[-1:], count - len(values), axis=0)])


def _status(view: View, responded: Bool[np.ndarray, " unit"]) -> UInt8[np.ndarray, " unit"]:
    finite = np.isfinite(view.score) & np.isfinite(view.raw).all(axis=(1, 2, 3))
    status = np.where(responded, UnitStatus.DONE, UnitStatus.DEAD)
    return np.where(finite, status, UnitStatus.FAILED).astype(np.uint8)
