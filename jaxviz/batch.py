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
from jaxtyping import Float, Int, UInt8

from jaxviz.ascent import State
from jaxviz.atlas.columns import UnitStatus
from jaxviz.bundle import Bundle
from jaxviz.errors import ConfigError, ImageSizeError, LayerError
from jaxviz.model import Model
from jaxviz.model.lowerings import choose_forms
from jaxviz.objectives import Network
from jaxviz.presets import DEFAULT_PRESET, Preset, get_preset
from jaxviz.program import Program
from jaxviz.ranges import Units
from jaxviz.spec import ModelSpec
from jaxviz.transforms import size_after

#: JAX's generator for every key; named in the manifest.
PRNG = "threefry2x32"
# Bytes of activations that a chunk may hold on a CPU before it falls out of the cache,
# and the bounds within which more units at once were measured to pay.
_CPU_CHUNK_BYTES = 24 << 20
_CPU_CHUNK = (4, 16)
_DEVICE_CHUNK = 64
# Side of a picture that is to be looked at: small networks' patterns repeat within the one,
# large ones' need no more than the other.
_SMALLEST, _LARGEST = 64, 128


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
        targets = list(dict.fromkeys(name or layer for name in (None, *preset.objective.layers())))
        for name in targets:
            spec.node(name)
        params: Any = model.arrays() if isinstance(model, Model) else model.weights
        self.shape = image_shape(spec, layer, preset, size)
        preset.parameterization.check(self.shape)
        seen = (*size_after(preset.transforms, *self.shape[:2]), self.shape[2])
        shapes = self._check_seen(seen, targets)
        self.units_in_layer = shapes[layer][-1] or 0
        self.forms = choose_forms(spec, targets, jax.default_backend())
        self.chunk = chunk or _default_chunk(shapes, self.units_in_layer)
        self.units = Units(*preset.units, spec.range)
        self.units.check_channels(self.shape[-1])
        self.shown_shape = (*preset.display.size(*self.shape[:2]), self.shape[2])
        self.traces = {"start": 0, "step": 0, "look": 0}
        layers = {node.layer for node in spec.upstream(targets)}
        self._params = jax.device_put({k: dict(v) for k, v in params.items() if k in layers})
        self._programs: dict[str, Program] = {}

    def render_chunk(
        self, channels: Sequence[int], seed: int, init: np.ndarray | None = None
    ) -> Render:
        """Make the pictures of some channels, `chunk` of them at a time.

        A unit that is finished makes room for the next; where none is left, the last is
        computed again, so that every call has one shape.

        Args:
            channels: Channel numbers.
            seed: The user's seed.
            init: Starting images in the model's input units, one per channel or one for all.
        """
        numbers = np.asarray(channels, np.int32)
        if init is not None:
            init = np.broadcast_to(init, (len(numbers), *self.shape)).astype(np.float32)
        work = _Work(self._program(self.preset), self._params, self.chunk)
        keys = unit_keys(seed, self.layer, jnp.asarray(numbers))
        return work.run(numbers, keys, init)

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

    def _check_seen(self, seen: tuple[int, int, int], targets: Sequence[str]) -> dict[str, Any]:
        """Shapes of everything upstream, for what transforms leave of the picture."""
        if seen != self.shape and _fixed_size(self.spec, targets, self.shape[:2]):
            raise ImageSizeError(
                f"layer {self.layer!r} lies behind a dense layer and takes images of "
                f"{self.shape[0]}×{self.shape[1]}, but the transforms of preset "
                f"{self.preset.name!r} leave {seen[0]}×{seen[1]}",
                hint="Take a preset whose transforms keep the size, such as the default.",
            )
        return _shapes(self.spec, targets, seen)

    def _program(self, preset: Preset) -> Program:
        if preset.name not in self._programs:
            network = Network(self.spec, self.forms, self.shape)
            self._programs[preset.name] = Program(
                network, self.layer, preset, self.units, self.shape, self.traces
            )
        return self._programs[preset.name]


class _Work:
    """A queue of units, and the slots of a chunk that they go through."""

    def __init__(self, program: Program, params: Any, slots: int) -> None:
        self.program, self.params, self.slots = program, params, slots

    def run(self, channels: np.ndarray, keys: jax.Array, init: np.ndarray | None) -> Render:
        """The pictures of all units, in the order of `channels`."""
        self.channels, self.keys, self.init = channels, keys, init
        self.done: dict[int, tuple[Any, ...]] = {}
        stop, steps = self.program.preset.stop, self.program.preset.steps
        stride = steps if stop is None else min(steps, stop.window)
        waiting = list(range(len(channels)))
        owner = np.full(self.slots, -1)
        running, begun = self._fill(owner, waiting, None, np.zeros(self.slots, np.float32))
        while (owner >= 0).any():
            current = jnp.asarray(self.channels[np.maximum(owner, 0)])
            running = self.program.advance(self.params, running, current, stride)
            count, converged = jax.device_get((running.step, running.converged))
            finished = (owner >= 0) & ((count >= steps) | converged)
            if finished.any():
                self._collect(finished, owner, running, current, begun)
                owner[finished] = -1
                if waiting:
                    running, begun = self._fill(owner, waiting, running, begun)
        parts = [self.done[unit] for unit in range(len(channels))]
        raw, shown, scores, initial, responded = (
            np.stack(values) for values in zip(*parts, strict=True)
        )
        return Render(
            images=shown,
            raw=raw,
            scores=scores,
            initial_scores=initial,
            status=_status(raw, scores, responded, plain=self.program.plain),
            channels=np.asarray(channels, np.int64),
        )

    def _fill(
        self, owner: np.ndarray, waiting: list[int], running: State | None, begun: np.ndarray
    ) -> tuple[State, np.ndarray]:
        """Put the next units into the free slots; says also their starts' scores."""
        free = owner < 0
        for slot in np.flatnonzero(free)[: len(waiting)]:
            owner[slot] = waiting.pop(0)
        # a slot without a unit repeats the first, and nobody looks at it
        units = np.where(owner >= 0, owner, owner.max(initial=0))
        keys, channels = self.keys[units], jnp.asarray(self.channels[units])
        if self.init is None:
            fresh = self.program.start(self.params, keys)
        else:
            fresh = self.program.start_from(self.params, jnp.asarray(self.init[units]), keys)
        scores = np.asarray(self.program.look(self.params, fresh, channels).score)
        if running is not None:
            fresh = self.program.merge(jnp.asarray(free), fresh, running)
        return fresh, np.where(free, scores, begun)

    def _collect(
        self,
        finished: np.ndarray,
        owner: np.ndarray,
        running: State,
        channels: jax.Array,
        begun: np.ndarray,
    ) -> None:
        view = jax.device_get(self.program.look(self.params, running, channels))
        responded = np.asarray(running.responded)
        for slot in np.flatnonzero(finished):
            self.done[int(owner[slot])] = (
                view.raw[slot], view.shown[slot], view.score[slot],
                begun[slot], responded[slot],
            )  # fmt: skip


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
    spec: ModelSpec, layer: str, preset: Preset, size: int | tuple[int, int] | None
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
    own = inputs[0].shape[:2]
    fixed = _fixed_size(spec, [layer], own)
    wanted = (size, size) if isinstance(size, int) else size
    if wanted is None:
        side = preset.size or min(max(own[0] or _LARGEST, _SMALLEST), _LARGEST)
        wanted = fixed or (side, side)
    if fixed is not None and wanted != fixed:
        raise ImageSizeError(
            f"layer {layer!r} lies behind a dense layer and takes images of "
            f"{fixed[0]}×{fixed[1]}, not {wanted[0]}×{wanted[1]}",
            hint="Leave out --size.",
        )
    _shapes(spec, [layer], (*wanted, channels))
    return (*wanted, channels)


def _shapes(spec: ModelSpec, targets: Sequence[str], shape: tuple[int, int, int]) -> dict[str, Any]:
    """Shapes upstream; ImageSizeError with the least size that works if this one does not."""
    try:
        return spec.shapes(shape, targets=targets)
    except ImageSizeError as error:
        least = spec.least_image_size(targets[0])
        hint = f"The least size that works is {least}: --size {least}." if least else ""
        raise ImageSizeError(error.summary, details=error.details, hint=hint) from None


def _fixed_size(
    spec: ModelSpec, targets: Sequence[str], own: tuple[int | None, ...]
) -> tuple[int, int] | None:
    """The model's own input size, if a layer depends on weights that fit no other."""
    height, width = own
    if height is None or width is None:
        return None
    channels = spec.inputs_of(targets)[0].shape[-1]
    shapes = spec.shapes((height, width, channels), targets=targets)
    try:
        other = spec.shapes((2 * height, 2 * width, channels), targets=targets)
        for node in spec.upstream(targets):
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


def _status(
    raw: np.ndarray, scores: np.ndarray, responded: np.ndarray, *, plain: bool
) -> UInt8[np.ndarray, " unit"]:
    finite = np.isfinite(scores) & np.isfinite(raw).all(axis=(1, 2, 3))
    # where the objective helps a unit along, a gradient alone does not mean that it fires
    alive = responded & (plain | (scores != 0))
    status = np.where(alive, UnitStatus.DONE, UnitStatus.DEAD)
    return np.where(finite, status, UnitStatus.FAILED).astype(np.uint8)
