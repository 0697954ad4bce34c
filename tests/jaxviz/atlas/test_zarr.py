"""Other programs read the arrays."""

from __future__ import annotations

import numpy as np
import zarr

from jaxviz.atlas import AtlasWriter, open_atlas
from jaxviz.atlas.columns import COLUMNS
from tests.support.synthetic import make, plan, rendered


def test_zarr_reads_the_hierarchy(tmp_path):
    layers = [plan(), plan("outer/Inner", (3, 1, 40, 41, 9), depth=1)]
    make(tmp_path / "a.atlas", layers)
    atlas = zarr.open_group(tmp_path / "a.atlas", mode="r")
    for layer in layers:
        group = atlas["layers"][layer.key]
        assert group.attrs["layer"] == layer.name
        assert group.attrs["channels"] == list(layer.channels)
        expected = rendered(layer, range(layer.units))
        names = {"image": "images", "score": "score", "initial": "initial", "status": "status"}
        assert set(group.array_keys()) == {column.name for column in COLUMNS}
        assert np.isnan(group["selectivity"][:]).all()  # was not given
        for name, key in names.items():
            assert group[name].dtype == expected[key].dtype
            np.testing.assert_array_equal(group[name][:], expected[key])
        assert group["image"].metadata.dimension_names == ("unit", "height", "width", "depth")
    assert set(atlas["layers"].group_keys()) == {layer.key for layer in layers}


def test_an_unwritten_unit_is_pending_to_zarr_too(tmp_path):
    with AtlasWriter(tmp_path / "a", identity={}, record={}, layers=[plan()]):
        pass
    group = zarr.open_group(tmp_path / "a", mode="r")["layers/conv1"]
    assert not group["status"][:].any()
    assert np.isnan(group["score"][:]).all()


def test_a_piece_is_one_file_per_column(tmp_path):
    make(tmp_path / "a", [plan(units=10, chunk=4)])
    files = sorted(p.name for p in (tmp_path / "a/layers/conv1/status/c").iterdir())
    assert files == ["0", "1", "2"]
    assert len(open_atlas(tmp_path / "a")["conv1"].status) == 10
