"""Make a recipe's atlas: layer by layer, with one commit for each piece of units."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from pydantic import JsonValue

from jaxviz._util.version import __version__
from jaxviz.atlas import AtlasWriter, LayerPlan
from jaxviz.engine.choose import continued, notes
from jaxviz.engine.precompile import Precompiler, Upcoming, spare_threads
from jaxviz.engine.renderer import LayerRenderer, RenderResult
from jaxviz.imaging.ranges import known_range
from jaxviz.jobs.prepare import Job, prepare
from jaxviz.jobs.recipe import AtlasRecipe
from jaxviz.jobs.report import AtlasReport, LayerReport, Reporter
from jaxviz.runtime.compile_cache import use_compile_cache
from jaxviz.runtime.execution import Execution
from jaxviz.runtime.keys import unit_keys


class PlannedLayer(NamedTuple):
    """A layer of an atlas.

    Attributes:
        plan: The layer's contents in the atlas.
        renderer: Renders the layer's units.
    """

    plan: LayerPlan
    renderer: LayerRenderer

    @property
    def units(self) -> int:
        """Number of units to render; replicates of a unit count once."""
        return len(self.plan.channels) // self.renderer.setup.preset.replicates


def make_atlas(recipe: AtlasRecipe, reporter: Reporter | None = None) -> AtlasReport:
    """Make an atlas, or the missing part of an atlas.

    Every piece of units is committed when it is finished, so a killed run continues from there.

    Args:
        recipe: The model, layers, preset and folder.
        reporter: Follows the progress.

    Returns:
        The folder, and for each layer the number of units with each status.

    Raises:
        JaxvizError: If anything in the recipe is wrong, if the folder holds another atlas, or if
            another process is writing to it.

    Example:
        >>> import jaxviz, tempfile
        >>> from jaxviz import AtlasRecipe
        >>> folder = tempfile.mkdtemp() + "/galaxy.atlas"
        >>> model = str(jaxviz.example("galaxy_cnn.keras"))
        >>> recipe = AtlasRecipe(model=model, output=folder, layers=("conv1",), channels="0:2",
        ...                      size=32, steps=2, range="0:1")
        >>> [layer.units for layer in make_atlas(recipe).layers]
        [2]
    """
    reporter = reporter or Reporter()
    use_compile_cache()
    # compiles while the model is read; an error is raised again when keys are needed
    beside = ThreadPoolExecutor(1)
    beside.submit(unit_keys, recipe.seed, "", np.zeros(1))
    beside.shutdown(wait=False)
    job = prepare(recipe)
    _tell_range(job, reporter)
    path = Path(recipe.output)
    with AtlasWriter(path, identity=job.identity, record=_record(job), layers=job.plans) as atlas:
        missing = sum(len(units) for p in atlas.layers for units in atlas.pending(p.name))
        total = sum(len(plan.channels) for plan in atlas.layers)
        reporter.start(path, atlas.layers, total - missing)
        layers = [
            PlannedLayer(plan, _continued(plan, renderer, reporter))
            for plan, renderer in zip(atlas.layers, job.renderers, strict=True)
        ]
        return AtlasReport(path, tuple(_make_layers(atlas, layers, recipe.seed, reporter)))


def _tell_range(job: Job, reporter: Reporter) -> None:
    if known_range(job.bundle.spec) is None:
        low, high = job.renderers[0].setup.preset.units
        reporter.note(
            f"The input range of {job.bundle.spec.name!r} is unknown; using the preset's range, "
            f"{low:g} to {high:g}. If the network was trained on other values, set --range LO:HI."
        )


def _make_layers(
    atlas: AtlasWriter,
    layers: Sequence[PlannedLayer],
    seed: int,
    reporter: Reporter,
) -> list[LayerReport]:
    """Make all layers; a layer's sheet is drawn while the next layer is rendered."""
    threads = spare_threads(layers[0].renderer.execution.lanes)
    with (
        Precompiler(_unfinished(atlas, layers), threads) as ahead,
        ThreadPoolExecutor(1) as drawing,
    ):
        drawn: list[Future[LayerReport]] = []
        for layer in layers:
            reporter.layer(layer.plan.name)
            seconds = _make_layer(atlas, layer, ahead, seed, reporter)
            drawn.append(drawing.submit(_finish, atlas, layer.plan, seconds, reporter))
            for finished in filter(Future.done, drawn):
                finished.result()  # raises the error of a failed drawing
        return [finished.result() for finished in drawn]


def _continued(plan: LayerPlan, renderer: LayerRenderer, reporter: Reporter) -> LayerRenderer:
    """The layer's renderer with the execution of the run that began the layer."""
    found = continued(plan.compute, renderer.execution, renderer.setup)
    if plan.compute is not None:
        _tell(reporter, renderer.setup.layer, plan.compute, found)
    return renderer.with_execution(found)


def _tell(reporter: Reporter, layer: str, before: Execution, after: Execution) -> None:
    for note in notes(layer, before, after):
        reporter.note(note)


def _unfinished(atlas: AtlasWriter, layers: Sequence[PlannedLayer]) -> list[Upcoming]:
    """The layers with pending units."""
    return [
        Upcoming(layer.renderer, layer.units) for layer in layers if atlas.pending(layer.plan.name)
    ]


def _make_layer(
    atlas: AtlasWriter, layer: PlannedLayer, ahead: Precompiler, seed: int, reporter: Reporter
) -> float:
    """Make the pending units of a layer; return the seconds that this took."""
    plan = layer.plan
    begin = time.perf_counter()
    if atlas.pending(plan.name):
        ready = _settled(layer, ahead, reporter)
        atlas.record_compute(plan.name, ready.execution)
        ahead.proceed()
        for piece in atlas.pending(plan.name):
            ready = _make_piece(atlas, plan, ready, piece, seed, reporter)
        ready.programs.release()  # all layers' prepared weights would be too much memory
    return time.perf_counter() - begin


def _settled(layer: PlannedLayer, ahead: Precompiler, reporter: Reporter) -> LayerRenderer:
    """The layer's renderer with every decision made, compiled ahead if that was started."""
    renderer = layer.renderer
    compiled = ahead.wait(renderer)
    if compiled is None:
        ahead.proceed()  # while this one is compiled
    ready = (compiled or renderer).settled(layer.units, before_search=ahead.pause)
    _tell(reporter, renderer.setup.layer, renderer.execution, ready.execution)
    return ready


def _make_piece(
    atlas: AtlasWriter,
    plan: LayerPlan,
    renderer: LayerRenderer,
    piece: range,
    seed: int,
    reporter: Reporter,
) -> LayerRenderer:
    """Make and commit one piece; return the renderer for the next."""
    # several replicates of a channel are neighbours
    replicates = renderer.setup.preset.replicates
    channels = [plan.channels[unit] for unit in piece][::replicates]
    made = renderer.render(channels, seed, on_units=reporter.units)
    atlas.record_compute(plan.name, made.execution)
    _tell(reporter, renderer.setup.layer, renderer.execution, made.execution)
    _write(atlas, plan, piece, made, replicates)
    return renderer.with_execution(made.execution)


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
        images=(finite * 255).astype(np.uint8),  # rounds down, as the published Keras recipe does
        score=render.scores,
        initial=render.initial_scores,
        status=render.status,
        steps=render.steps,
        reason=render.reasons,
        replicate=np.arange(len(units)) % replicates,
        **render.measures,
    )


def _record(job: Job) -> dict[str, JsonValue]:
    """Record the software and the kind of device, but no path, user or host."""
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
