"""The numbers behind the figures, written to files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from jaxviz._util.filenames import encode
from jaxviz.errors import ConfigError
from jaxviz.figures.capture import BATCH, Captured, capture_batches, slices
from jaxviz.figures.style import check_output
from jaxviz.imaging.files import read_images
from jaxviz.model import Model
from jaxviz.spec import InputRange, ModelSpec


def save_arrays(
    model: Model,
    images: np.ndarray | Sequence[str | os.PathLike[str]],
    layers: Sequence[str],
    path: str | os.PathLike[str],
    *,
    range_: InputRange | None = None,
    size: tuple[int, int] | None = None,
    batch: int = BATCH,
) -> Path:
    """Write the activations of several layers, every channel of each.

    Args:
        model: The network.
        images: [image, height, width, channel] in the network's input units, or image files.
        layers: Names of layers.
        path: `.npz` for one array a layer, or `.zarr` for a Zarr v3 group. A group is read and
            written batch by batch, for more images than fit in memory. In both, an array is
            named by the layer's encoded name (`jaxviz._util.filenames.encode`), and `output`
            holds the network's output.
        range_: Values of black and white in the network's units; see `read_images`.
        size: (height, width) of image files in pixels, for a network that takes any.
        batch: Images computed at once.

    Returns:
        The path.

    Raises:
        ConfigError: If the path has another suffix or cannot be written.
        ImageSizeError: If a file is not an image or does not fit the network.
        LayerError: If a layer does not exist.

    Example:
        >>> import jaxviz, tempfile
        >>> model = jaxviz.load(jaxviz.example("galaxy_cnn.keras"))
        >>> path = Path(tempfile.mkdtemp()) / "maps.npz"
        >>> sorted(np.load(save_arrays(model, np.zeros((1, 96, 96, 3)), ["conv1"], path)))
        ['conv1', 'images', 'layers', 'output']
    """
    path = Path(path)
    try:
        path = check_output(path, (".npz", ".zarr"))
        batches: Iterable[np.ndarray]
        if isinstance(images, np.ndarray):
            batches, names = slices(images, batch), [str(i) for i in range(len(images))]
        else:
            batches = _files(images, model.spec, range_, size, batch)
            names = [Path(image).stem for image in images]
        parts = capture_batches(model, batches, layers)
        if path.suffix == ".npz":
            _write_npz(parts, layers, names, path)
        else:
            _write_zarr(parts, layers, names, path, batch)
    except OSError as error:
        raise ConfigError(f"cannot write {str(path)!r}: {error.strerror or error}") from error
    return path


def _files(
    paths: Sequence[str | os.PathLike[str]],
    spec: ModelSpec,
    range_: InputRange | None,
    size: tuple[int, int] | None,
    batch: int,
) -> Iterator[np.ndarray]:
    for start in range(0, len(paths), batch):
        read = read_images(paths[start : start + batch], spec, size=size, range_=range_)
        size = read.inputs.shape[1:3]  # the first batch decides, where nothing else does
        yield read.inputs


def _write_npz(
    parts: Iterable[Captured], layers: Sequence[str], names: Sequence[str], path: Path
) -> None:
    parts = list(parts)
    arrays = {encode(n): np.concatenate([part.maps[n] for part in parts]) for n in layers}
    arrays["output"] = np.concatenate([part.output for part in parts])
    arrays |= {"layers": np.array(layers), "images": np.array(names)}
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]


def _write_zarr(
    parts: Iterable[Captured], layers: Sequence[str], names: Sequence[str], path: Path, batch: int
) -> None:
    import tensorstore

    from jaxviz.atlas.store import make_group

    if path.exists():
        raise ConfigError(f"{str(path)!r} exists already", hint="Choose another name.")
    stores: dict[str, tensorstore.TensorStore] = {}
    start = 0
    for part in parts:
        if not stores:  # only now, because the first images could be read
            make_group(path, {"layers": {encode(n): n for n in layers}, "images": list(names)})
        for key, array in {
            "output": part.output,
            **{encode(n): part.maps[n] for n in layers},
        }.items():
            if key not in stores:
                place = {"driver": "file", "path": f"{(path / key).absolute()}/"}
                stores[key] = tensorstore.open(
                    {"driver": "zarr3", "kvstore": place},
                    create=True,
                    dtype=tensorstore.float32,
                    shape=[len(names), *array.shape[1:]],
                    chunk_layout=tensorstore.ChunkLayout(chunk_shape=[batch, *array.shape[1:]]),
                ).result()
            stores[key][start : start + len(array)].write(array).result()
        start += len(part.output)
