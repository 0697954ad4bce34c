"""From a recipe to an atlas: the only place that knows model, batch and atlas all three."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxviz._util.version import __version__
from jaxviz.atlas import AtlasWriter, LayerPlan
from jaxviz.bundle import Bundle
from jaxviz.bundle.load import load_bundle
from jaxviz.engine.precompile import Ahead, spare_threads
from jaxviz.engine.renderer import LayerRenderer, RenderResult
from jaxviz.engine.shapes import image_shape
from jaxviz.errors import ImageSizeError
from jaxviz.imaging.ranges import ValueRange, known_range
from jaxviz.jobs.recipe import AtlasRecipe
from jaxviz.jobs.references import GivenImages, coloured
from jaxviz.presets import Preset
from jaxviz.runtime.compile_cache import use_compile_cache
from jaxviz.runtime.devices import Target
from jaxviz.runtime.keys import PRNG, unit_keys
from jaxviz.spec.select import match_channels, match_layers

# Work is committed in pieces: of so many units, for an atlas is not a million small files, or of
# more where they are little work, for at the end of a piece slots stay empty and lanes wait. So
# many billions of operations are what a killed run may lose: on two cores, which did 23 and more
# a second in all the benchmark's layers but the two smallest, about a minute at the most.
_PIECE_UNITS, _PIECE_GFLOP = 32, 1500.0
# And so much of pictures, whose numbers have four bytes as long as they are worked on.
_PIECE_BYTES = 16 << 20


@dataclass(frozen=True)
class LayerReport:
    """What became of a layer: units by status and reason, how its measures are spread, and how
    long this run worked on it.
    """

    layer: str
    units: int
    done: int
    dead: int
    failed: int
    seconds: float
    rescued: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    measures: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class AtlasReport:
    """What became of an atlas."""

    path: Path
    layers: tuple[LayerReport, ...]

    @property
    def failed(self) -> int:
        """Units whose picture was not finite."""
        return sum(layer.failed for layer in self.layers)


class Reporter:
    """Told about progress, from several threads; this one does nothing with it."""

    def note(self, text: str) -> None:
        """Something the user should know, said once."""

    def start(self, path: Path, layers: Sequence[LayerPlan], finished: int) -> None:
        """An atlas begins or continues, with so many units already there."""

    def layer(self, name: str) -> None:
        """A layer begins."""

    def units(self, count: int) -> None:
        """So many more units are finished."""

    def finish(self, report: LayerReport) -> None:
        """A layer is complete."""


@dataclass(frozen=True)
class Job:
    """An atlas worked out and checked, before anything is written or compiled."""

    recipe: AtlasRecipe
    bundle: Bundle
    renderers: tuple[LayerRenderer, ...]
    plans: tuple[LayerPlan, ...]
    images: GivenImages | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """What an atlas is of: a folder is continued only with exactly this."""
        spec = self.bundle.spec
        presets = {r.asked.name: r.asked.model_dump(mode="json") for r in self.renderers}
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
                "layers": {r.layer: list(r.shape) for r in self.renderers},
                "channels": self.recipe.channels,
                "attempts": self.recipe.attempts,
                "images": None if self.images is None else self.images.digest,
                "dtype": self.recipe.dtype,
                "prng": PRNG,
            },
            "seed": self.recipe.seed,
        }


def prepare(recipe: AtlasRecipe, target: Target | None = None) -> Job:
    """Load the model and check every setting against it; nothing is written.

    Args:
        recipe: What to make.
        target: The devices it is made for; those that are there where left out.

    Raises:
        JaxvizError: Whatever is wrong, before any work is done.
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
            problems[0].summary if len(problems) == 1 else "some layers cannot take such images",
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
    return LayerRenderer(
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


def make_atlas(recipe: AtlasRecipe, reporter: Reporter | None = None) -> AtlasReport:
    """Make an atlas, or whatever is missing of it.

    Args:
        recipe: What to make.
        reporter: Told about progress.

    Returns:
        The folder, and per layer the units by status.

    Raises:
        JaxvizError: If anything in the recipe does not fit, or the folder holds
            another atlas or is being worked on.

    Example:
        >>> import jaxviz, tempfile
        >>> from jaxviz.jobs.recipe import AtlasRecipe
        >>> folder = tempfile.mkdtemp() + "/galaxy.atlas"
        >>> model = str(jaxviz.example("galaxy_cnn.keras"))
        >>> recipe = AtlasRecipe(model=model, output=folder, layers=("conv1",), channels="0:2",
        ...                      size=32, steps=2, range="0:1")
        >>> [layer.units for layer in make_atlas(recipe).layers]
        [2]
    """
    reporter = reporter or Reporter()
    use_compile_cache()
    # compiled while the model is read; what goes wrong here does so again where keys are needed
    beside = ThreadPoolExecutor(1)
    beside.submit(unit_keys, recipe.seed, "", np.zeros(1))
    beside.shutdown(wait=False)
    job = prepare(recipe)
    if known_range(job.bundle.spec) is None:
        low, high = job.renderers[0].preset.units
        reporter.note(
            f"The input range of {job.bundle.spec.name!r} is not known; taking the preset's "
            f"{low:g} to {high:g}. If the network was trained on other values, say --range LO:HI."
        )
    path = Path(recipe.output)
    with AtlasWriter(path, identity=job.identity, record=_record(job), layers=job.plans) as atlas:
        missing = {p.name: sum(len(units) for units in atlas.pending(p.name)) for p in atlas.layers}
        total = sum(len(p.channels) for p in atlas.layers)
        reporter.start(path, atlas.layers, total - sum(missing.values()))
        threads = spare_threads(job.renderers[0].lanes)
        layers = list(zip(atlas.layers, job.renderers, strict=True))
        # a layer's sheet is drawn while the next layer is made
        with Ahead(_unfinished(atlas, layers), threads) as ahead, ThreadPoolExecutor(1) as drawing:
            drawn: list[Future[LayerReport]] = []
            for plan, renderer in layers:
                reporter.layer(plan.name)
                seconds = _make_layer(atlas, plan, renderer, ahead, recipe.seed, reporter)
                drawn.append(drawing.submit(_finish, atlas, plan, seconds, reporter))
                renderer.release()  # a network's layers together are many times its weights
                for finished in filter(Future.done, drawn):
                    finished.result()  # which raises what went wrong
            reports = [finished.result() for finished in drawn]
    return AtlasReport(path, tuple(reports))


def _unfinished(
    atlas: AtlasWriter, layers: Sequence[tuple[LayerPlan, LayerRenderer]]
) -> list[tuple[LayerRenderer, int]]:
    """The layers that have something to make, as they were begun, and how many units."""
    found = []
    for plan, renderer in layers:
        renderer.restore(dict(plan.compute))
        if atlas.pending(plan.name):
            found.append((renderer, len(plan.channels) // renderer.preset.replicates))
    return found


def _make_layer(
    atlas: AtlasWriter,
    plan: LayerPlan,
    renderer: LayerRenderer,
    ahead: Ahead,
    seed: int,
    reporter: Reporter,
) -> float:
    """Make what is missing of a layer; how many seconds that took."""
    begin = time.perf_counter()
    if atlas.pending(plan.name):
        if not ahead.wait(renderer):
            ahead.go_on()  # while this one is compiled
        units = len(plan.channels) // renderer.preset.replicates
        renderer.tune(units, before_search=ahead.settle)
        atlas.record_compute(plan.name, renderer.compute)
        ahead.go_on()
    for piece in atlas.pending(plan.name):
        # with several replicates a filter has as many units, one after the other
        channels = [plan.channels[unit] for unit in piece][:: renderer.preset.replicates]
        made = renderer.render_chunk(channels, seed, on_units=reporter.units)
        atlas.record_compute(plan.name, renderer.compute)
        for note in renderer.notes:
            reporter.note(note)
        renderer.notes.clear()
        _write(atlas, plan, piece, made, renderer.preset.replicates)
    return time.perf_counter() - begin


def _finish(atlas: AtlasWriter, plan: LayerPlan, seconds: float, reporter: Reporter) -> LayerReport:
    atlas.finish(plan.name, seconds=seconds)
    entry = next(e for e in atlas.manifest.layers if e.plan.name == plan.name)
    report = LayerReport(
        layer=plan.name,
        units=len(plan.channels),
        done=entry.counts["done"],
        dead=entry.counts["dead"],
        rescued=entry.counts["rescued"],
        failed=entry.counts["failed"],
        seconds=round(seconds, 3),
        reasons=entry.reasons,
        measures={name: spread.model_dump() for name, spread in entry.measures.items()},
    )
    reporter.finish(report)
    return report


def _write(
    atlas: AtlasWriter, plan: LayerPlan, units: range, render: RenderResult, replicates: int
) -> None:
    finite = np.nan_to_num(render.images, nan=0.0)
    atlas.write(
        plan.name,
        units,
        images=(finite * 255).astype(np.uint8),  # as the published recipe rounds
        score=render.scores,
        initial=render.initial_scores,
        status=render.status,
        steps=render.steps,
        reason=render.reasons,
        replicate=np.arange(len(units)) % replicates,
        **render.measures,
    )


def _plan(renderer: LayerRenderer, recipe: AtlasRecipe, *, several: bool) -> LayerPlan:
    channels = match_channels(recipe.channels, renderer.units_in_layer, renderer.layer)
    lanes, replicates = renderer.lanes, renderer.preset.replicates
    chunk = min(renderer.chunk, -(-len(channels) // lanes))
    height, width, depth = renderer.shown_shape
    return LayerPlan(
        # the same layer stands once for each preset, one below the other
        name=f"{renderer.layer} · {renderer.preset.name}" if several else renderer.layer,
        channels=tuple(c for c in channels for _ in range(replicates)),
        height=height,
        width=width,
        depth=depth,
        chunk=_piece(renderer, len(channels) * replicates, chunk * lanes * replicates),
        compute={**renderer.compute, "chunk": chunk},
        preset=renderer.preset.name
        + (f", {renderer.preset.objective}" if recipe.objective else ""),
    )


def _piece(renderer: LayerRenderer, units: int, at_once: int) -> int:
    """How many units are committed together: a multiple of those that are made at once."""
    each = renderer.unit_gflop / renderer.preset.replicates
    little = min(_PIECE_GFLOP / max(each, 1e-9), _PIECE_BYTES / math.prod(renderer.shown_shape))
    calls = max(1, int(max(_PIECE_UNITS, little)) // at_once)
    return at_once * min(calls, -(-units // at_once))


def _record(job: Job) -> dict[str, Any]:
    """How it was made: software and kind of device, never a path, a user or a host."""
    device = jax.devices()[0]
    packages = ("jax", "jaxlib", "flax", "optax", "numpy", "tensorstore")
    return {
        "model": job.bundle.spec.source.model_dump(mode="json"),
        "software": {
            "jaxviz": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in packages},
        },
        "device": {"platform": device.platform, "kind": device.device_kind},
    }
