"""Turn a recipe into a checked job, before anything is written or compiled."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pydantic import JsonValue

from jaxviz.atlas import LayerPlan
from jaxviz.bundle import Bundle
from jaxviz.bundle.load import load_bundle
from jaxviz.engine.renderer import LayerRenderer
from jaxviz.engine.setup import LayerSetup
from jaxviz.engine.shapes import image_shape
from jaxviz.errors import ImageSizeError
from jaxviz.imaging.ranges import ValueRange, known_range
from jaxviz.jobs.recipe import AtlasRecipe
from jaxviz.jobs.references import GivenImages, coloured
from jaxviz.presets import Preset
from jaxviz.runtime.devices import Target
from jaxviz.runtime.keys import PRNG
from jaxviz.spec.select import match_channels, match_layers

# At least 32 units per commit, to avoid millions of small files; more when units are cheap,
# because slots stay empty and lanes wait at the end of a piece. The second number limits the
# work that a killed run loses, in billions of operations: about a minute on two cores.
PIECE_UNITS, PIECE_GFLOP = 32, 1500.0
# Bytes of one piece's stored pictures; each takes four times as much memory while it is made.
PIECE_BYTES = 16 << 20


@dataclass(frozen=True)
class Job:
    """A checked recipe, with everything that making the atlas needs.

    Attributes:
        recipe: The recipe.
        bundle: The converted model.
        renderers: One renderer for each layer and preset.
        plans: The contents of each layer in the atlas, in the order of `renderers`.
        images: The user's reference images, if there are any.
    """

    recipe: AtlasRecipe
    bundle: Bundle
    renderers: tuple[LayerRenderer, ...]
    plans: tuple[LayerPlan, ...]
    images: GivenImages | None = None

    @property
    def identity(self) -> dict[str, JsonValue]:
        """The values that a run must share with an atlas to continue it."""
        spec = self.bundle.spec
        asked = [renderer.setup.asked for renderer in self.renderers]
        presets: dict[str, JsonValue] = {
            preset.name: preset.model_dump(mode="json") for preset in asked
        }
        several = len(presets) > 1
        return {
            "model": {
                "name": spec.name,
                "file": spec.source.file,
                "sha256": self.bundle.digest,
                "range": None if spec.range is None else spec.range.model_dump(mode="json"),
            },
            "recipe": {
                "preset": presets if several else next(iter(presets.values())),
                "layers": {r.setup.layer: list(r.setup.shape) for r in self.renderers},
                "channels": self.recipe.channels,
                "attempts": self.recipe.attempts,
                "images": None if self.images is None else self.images.digest,
                "dtype": self.recipe.dtype,
                "prng": PRNG,
            },
            "seed": self.recipe.seed,
        }


def prepare(recipe: AtlasRecipe, target: Target | None = None) -> Job:
    """Load the model and check every setting; nothing is written.

    Args:
        recipe: The recipe.
        target: The devices that will make the atlas; None for those of this process.

    Raises:
        JaxvizError: If anything in the recipe is wrong.
    """
    presets = recipe.presets_used()
    bundle = load_bundle(recipe.model, weights=recipe.weights)
    bundle = bundle.with_spec(range=recipe.range_used(bundle.spec))
    given = GivenImages(recipe.images, bundle.spec) if recipe.images else None
    renderers, problems = [], []
    for layer in match_layers(bundle.spec, recipe.layers):
        for preset in presets:
            try:
                renderers.append(_renderer(bundle, layer, preset, recipe, given, target))
            except ImageSizeError as error:
                problems.append(error)
    if problems:
        raise ImageSizeError(
            problems[0].summary
            if len(problems) == 1
            else "some layers cannot use images of this size",
            details=[] if len(problems) == 1 else [p.summary for p in problems],
            hint=problems[-1].hint,
        )
    plans = tuple(_plan(renderer, recipe, several=len(presets) > 1) for renderer in renderers)
    return Job(recipe, bundle, tuple(renderers), plans, given)


def _renderer(
    bundle: Bundle,
    layer: str,
    preset: Preset,
    recipe: AtlasRecipe,
    given: GivenImages | None,
    target: Target | None,
) -> LayerRenderer:
    references = None
    if given is not None:
        shape = image_shape(bundle.spec, layer, preset, recipe.size)
        references = given.read((shape[0], shape[1]))
        preset = coloured(preset, references, ValueRange(*preset.units, known_range(bundle.spec)))
    return LayerRenderer.for_layer(
        bundle,
        layer,
        preset,
        size=recipe.size,
        chunk=recipe.chunk,
        attempts=recipe.attempts,
        measure=True,
        references=references,
        dtype=recipe.dtype,
        target=target,
    )


def _plan(renderer: LayerRenderer, recipe: AtlasRecipe, *, several: bool) -> LayerPlan:
    setup, execution = renderer.setup, renderer.execution
    channels = match_channels(recipe.channels, setup.units, setup.layer)
    lanes, replicates = execution.lanes, setup.preset.replicates
    chunk = min(execution.chunk, -(-len(channels) // lanes))
    height, width, depth = setup.shown_shape
    return LayerPlan(
        # with several presets a layer appears once for each of them
        name=f"{setup.layer} · {setup.preset.name}" if several else setup.layer,
        channels=tuple(c for c in channels for _ in range(replicates)),
        height=height,
        width=width,
        depth=depth,
        piece_units=_piece(setup, len(channels) * replicates, chunk * lanes * replicates),
        compute=execution.changed(chunk=chunk),
        preset=setup.preset.name + (f", {setup.preset.objective}" if recipe.objective else ""),
    )


def _piece(setup: LayerSetup, units: int, at_once: int) -> int:
    """The number of units in one commit, a multiple of `at_once`.

    Args:
        setup: The layer and how its pictures are made.
        units: Number of units of the layer, replicates included.
        at_once: Number of units that all lanes render at once.
    """
    each = setup.unit_gflop / setup.preset.replicates
    most = min(PIECE_GFLOP / max(each, 1e-9), PIECE_BYTES / math.prod(setup.shown_shape))
    calls = max(1, int(max(PIECE_UNITS, most)) // at_once)
    return at_once * min(calls, -(-units // at_once))
