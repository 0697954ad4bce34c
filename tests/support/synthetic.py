"""An atlas without a model: pictures that depend on layer and channel alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jaxviz._util.filenames import encode
from jaxviz.atlas import AtlasWriter, LayerPlan, UnitStatus

IDENTITY = {"model": {"name": "synthetic", "sha256": "0" * 64}, "recipe": {"steps": 30}, "seed": 7}
RECORD = {"software": {"numpy": np.__version__}, "device": "cpu"}


def plan(
    name: str = "conv1", units: int | tuple = 10, side: int = 8, depth: int = 3, **more
) -> LayerPlan:
    return LayerPlan(
        name=name,
        channels=range(units) if isinstance(units, int) else units,
        **{"height": side, "width": side, "depth": depth, "chunk": 4, **more},
    )


def rendered(layer: LayerPlan, units: range) -> dict[str, np.ndarray]:
    """Deterministic columns of some units; every 5th unit is dead, every 7th failed."""
    columns: dict[str, list] = {"images": [], "score": [], "initial": [], "status": []}
    for channel in (layer.channels[unit] for unit in units):
        rng = np.random.default_rng([channel, *encode(layer.name).encode()])
        shape = (layer.height, layer.width, layer.depth)
        columns["images"].append(rng.integers(0, 256, shape, np.uint8))
        failed = channel % 7 == 6
        columns["score"].append(np.nan if failed else rng.normal(5))
        columns["initial"].append(rng.normal())
        columns["status"].append(
            UnitStatus.FAILED
            if failed
            else UnitStatus.DEAD
            if channel % 5 == 4
            else UnitStatus.DONE
        )
    types = {"images": np.uint8, "score": np.float32, "initial": np.float32, "status": np.uint8}
    return {name: np.array(values, types[name]) for name, values in columns.items()}


def make(path: Path, layers: list[LayerPlan], identity: dict | None = None, **more) -> None:
    with AtlasWriter(
        path, identity=identity or IDENTITY, record=RECORD, layers=layers, **more
    ) as atlas:
        for layer in atlas.layers:
            for units in atlas.pending(layer.name):
                atlas.write(layer.name, units, **rendered(layer, units))
            atlas.finish(layer.name, seconds=1.5)
