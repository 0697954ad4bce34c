"""Make the atlas of a recipe: layer by layer, piece by piece, committed as it goes."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxviz._util.version import __version__
from jaxviz.atlas import AtlasWriter, LayerPlan
from jaxviz.engine.execution import continued, notes
from jaxviz.engine.precompile import Precompiler, spare_threads
from jaxviz.engine.renderer import LayerRenderer, RenderResult
from jaxviz.imaging.ranges import known_range
from jaxviz.jobs.prepare import Job, prepare
from jaxviz.jobs.recipe import AtlasRecipe
from jaxviz.jobs.report import AtlasReport, LayerReport, Reporter
from jaxviz.runtime.compile_cache import use_compile_cache
from jaxviz.runtime.execution import Execution
from jaxviz.runtime.keys import unit_keys


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
    # compiled while the model is read; an error here is raised again where keys are needed
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
            (plan, _continued(plan, renderer, reporter))
            for plan, renderer in zip(atlas.layers, job.renderers, strict=True)
        ]
        return AtlasReport(path, tuple(_make_layers(atlas, layers, recipe.seed, reporter)))


def _tell_range(job: Job, reporter: Reporter) -> None:
    if known_range(job.bundle.spec) is None:
        low, high = job.renderers[0].setup.preset.units
        reporter.note(
            f"The input range of {job.bundle.spec.name!r} is not known; taking the preset's "
            f"{low:g} to {high:g}. If the network was trained on other values, say --range LO:HI."
        )


def _make_layers(
    atlas: AtlasWriter,
    layers: Sequence[tuple[LayerPlan, LayerRenderer]],
    seed: int,
    reporter: Reporter,
) -> list[LayerReport]:
    """Make all layers; a layer's sheet is drawn while the next layer is made."""
    threads = spare_threads(layers[0][1].execution.lanes)
    with (
        Precompiler(_unfinished(atlas, layers), threads) as ahead,
        ThreadPoolExecutor(1) as drawing,
    ):
        drawn: list[Future[LayerReport]] = []
        for plan, renderer in layers:
            reporter.layer(plan.name)
            seconds = _make_layer(atlas, plan, renderer, ahead, seed, reporter)
            drawn.append(drawing.submit(_finish, atlas, plan, seconds, reporter))
            for finished in filter(Future.done, drawn):
                finished.result()  # raises what went wrong
        return [finished.result() for finished in drawn]


def _continued(plan: LayerPlan, renderer: LayerRenderer, reporter: Reporter) -> LayerRenderer:
    """The renderer of a layer, computed as the layer was begun."""
    found = continued(plan.compute, renderer.execution, renderer.setup)
    if plan.compute is not None:
        _tell(reporter, renderer.setup.layer, plan.compute, found)
    return renderer.with_execution(found)


def _tell(reporter: Reporter, layer: str, before: Execution, after: Execution) -> None:
    for note in notes(layer, before, after):
        reporter.note(note)


def _unfinished(
    atlas: AtlasWriter, layers: Sequence[tuple[LayerPlan, LayerRenderer]]
) -> list[tuple[LayerRenderer, int]]:
    """The layers that have something to make, and how many units of each there are in all."""
    return [
        (renderer, len(plan.channels) // renderer.setup.preset.replicates)
        for plan, renderer in layers
        if atlas.pending(plan.name)
    ]


def _make_layer(
    atlas: AtlasWriter,
    plan: LayerPlan,
    renderer: LayerRenderer,
    ahead: Precompiler,
    seed: int,
    reporter: Reporter,
) -> float:
    """Make the pending units of a layer; how many seconds that took."""
    begin = time.perf_counter()
    if atlas.pending(plan.name):
        ready = _settled(plan, renderer, ahead, reporter)
        atlas.record_compute(plan.name, ready.execution)
        ahead.proceed()
        for piece in atlas.pending(plan.name):
            ready = _make_piece(atlas, plan, ready, piece, seed, reporter)
        ready.programs.release()  # a network's layers together are many times its weights
    return time.perf_counter() - begin


def _settled(
    plan: LayerPlan, renderer: LayerRenderer, ahead: Precompiler, reporter: Reporter
) -> LayerRenderer:
    """The renderer with every decision made, compiled ahead where that was begun."""
    compiled = ahead.wait(renderer)
    if compiled is None:
        ahead.proceed()  # while this one is compiled
    units = len(plan.channels) // renderer.setup.preset.replicates
    ready = (compiled or renderer).settled(units, before_search=ahead.pause)
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
    """Make and commit one piece; the renderer for the next."""
    # with several replicates a filter has as many units, one after the other
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
        images=(finite * 255).astype(np.uint8),  # as the published recipe rounds
        score=render.scores,
        initial=render.initial_scores,
        status=render.status,
        steps=render.steps,
        reason=render.reasons,
        replicate=np.arange(len(units)) % replicates,
        **render.measures,
    )


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
