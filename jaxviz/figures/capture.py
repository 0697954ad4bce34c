"""What the layers of a network answer to images: one forward pass, all taps, in batches."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jax
import numpy as np

from jaxviz._util.filenames import encode
from jaxviz.errors import ConfigError, LayerError
from jaxviz.figures.style import check_output
from jaxviz.imaging.files import read_images
from jaxviz.model import Model
from jaxviz.model.graph import run
from jaxviz.spec import (
    Activation,
    Affine,
    BatchNorm,
    Identity,
    InputRange,
    ModelSpec,
    Pool,
    Scale,
)
from jaxviz.spec.select import match_layers

Select = Literal["first", "strongest", "variance"]
SELECTIONS = ("first", "strongest", "variance")
BATCH = 32
# What may stand between a convolution and its activation.
_BETWEEN = (BatchNorm, Affine, Scale, Identity)


@dataclass(frozen=True)
class Captured:
    """Activations of several layers for several images.

    Attributes:
        maps: {layer: float32 [image, …, channel]}.
        output: float32 [image, …], the network's (first) output.
    """

    maps: dict[str, np.ndarray]
    output: np.ndarray


def capture(model: Model, images: np.ndarray, layers: Sequence[str]) -> Captured:
    """Run images through a network and keep what these layers give.

    Args:
        model: The network.
        images: [image, height, width, channel] in its input units.
        layers: Names of taps.

    Example:
        >>> import jaxviz
        >>> model = jaxviz.load(jaxviz.example("galaxy_cnn.keras"))
        >>> seen = capture(model, np.zeros((2, *model.input_shape)), ["conv1"])
        >>> seen.output.shape
        (2, 5)
    """
    parts = list(_batches(model, _slices(images, BATCH), layers, BATCH))
    return Captured(
        {name: np.concatenate([maps[name] for _, maps in parts]) for name in layers},
        np.concatenate([output for output, _ in parts]),
    )


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
    """Write the numbers behind the pictures: every channel of every named layer.

    Args:
        model: The network.
        images: [image, height, width, channel] in its input units, or image files.
        layers: Names of taps.
        path: `.npz` holds one array a layer; `.zarr` is a Zarr v3 group, read and written
            batch by batch, for more images than fit in memory. In both an array is called by
            the encoded layer name (`jaxviz._util.filenames.encode`), and `output` is the network's.
        range_: What black and white are to the network; see `read_images`.
        size: (height, width) of image files, for a network that takes any.
        batch: Images computed at once.

    Raises:
        ConfigError: If the ending is another, or the place cannot be written.
        ImageSizeError: If a file is no image, or does not fit.
    """
    path = Path(path)
    try:
        path = check_output(path, (".npz", ".zarr"))
        parts: Iterable[np.ndarray]
        if isinstance(images, np.ndarray):
            parts, names = _slices(images, batch), [str(i) for i in range(len(images))]
        else:
            parts = _files(images, model.spec, range_, size, batch)
            names = [Path(image).stem for image in images]
        batches = _batches(model, parts, layers, batch)
        if path.suffix == ".npz":
            _write_npz(batches, layers, names, path)
        else:
            _write_zarr(batches, layers, names, path, batch)
    except OSError as error:
        raise ConfigError(f"cannot write {str(path)!r}: {error.strerror or error}") from error
    return path


_Batch = tuple[np.ndarray, Mapping[str, np.ndarray]]


def _write_npz(
    batches: Iterable[_Batch], layers: Sequence[str], names: Sequence[str], path: Path
) -> None:
    parts = list(batches)
    arrays = {encode(n): np.concatenate([maps[n] for _, maps in parts]) for n in layers}
    arrays["output"] = np.concatenate([output for output, _ in parts])
    arrays |= {"layers": np.array(layers), "images": np.array(names)}
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]


def _write_zarr(
    batches: Iterable[_Batch], layers: Sequence[str], names: Sequence[str], path: Path, batch: int
) -> None:
    import tensorstore

    from jaxviz.atlas.store import make_group

    if path.exists():
        raise ConfigError(f"{str(path)!r} exists already", hint="Choose another name.")
    stores: dict[str, tensorstore.TensorStore] = {}
    start = 0
    for output, maps in batches:
        if not stores:  # the first images could be read: now the folder is made
            make_group(path, {"layers": {encode(n): n for n in layers}, "images": list(names)})
        for key, array in {"output": output, **{encode(n): maps[n] for n in layers}}.items():
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
        start += len(output)


def _slices(images: np.ndarray, batch: int) -> Iterator[np.ndarray]:
    for start in range(0, len(images), batch):
        yield np.asarray(images[start : start + batch], np.float32)


def _files(
    paths: Sequence[str | os.PathLike[str]],
    spec: ModelSpec,
    range_: InputRange | None,
    size: tuple[int, int] | None,
    batch: int,
) -> Iterator[np.ndarray]:
    for start in range(0, len(paths), batch):
        read = read_images(paths[start : start + batch], spec, size=size, range_=range_)
        size = read.inputs.shape[1:3]  # of the first, where nothing else says it
        yield read.inputs


def _batches(
    model: Model, parts: Iterable[np.ndarray], layers: Sequence[str], batch: int
) -> Iterator[_Batch]:
    spec = model.spec
    for name in layers:
        spec.node(name)
    wanted = tuple(dict.fromkeys([spec.outputs[0], *layers]))
    forward = jax.jit(lambda arrays, x: run(spec, arrays, {spec.inputs[0].name: x}, wanted))
    size = 0
    for part in parts:
        spec.shapes(part.shape[1:])
        # The first batch is as large as any; a smaller last one is filled up, so that one
        # program serves them all.
        size = size or len(part)
        padded = np.concatenate([part, np.repeat(part[-1:], size - len(part), axis=0)])
        values = {k: np.asarray(v)[: len(part)] for k, v in forward(model.arrays(), padded).items()}
        yield values[spec.outputs[0]], values


def map_layers(spec: ModelSpec, patterns: Sequence[str] = (), most: int = 12) -> tuple[str, ...]:
    """The layers whose maps are shown: those named, else convolutions and pooling.

    Of more than `most` that nobody named, that many evenly spread ones are taken.

    Raises:
        LayerError: If a pattern matches nothing, or a layer has no maps.
    """
    if patterns:
        layers = match_layers(spec, patterns)
    else:
        pools = {n.name for n in spec.nodes if isinstance(n.op, Pool)}
        wanted = {*spec.convolutions, *pools}
        layers = tuple(n for n in spec.layer_names if n in wanted and _spatial(spec, n))
        if len(layers) > most:
            places = np.linspace(0, len(layers) - 1, most).round().astype(int)
            layers = tuple(layers[i] for i in places)
        if not layers:
            raise LayerError(f"model {spec.name!r} has no layer with maps of height and width")
    check_spatial(spec, layers)
    return layers


def check_spatial(spec: ModelSpec, layers: Sequence[str]) -> None:
    """Raise LayerError, naming each, if the output of a layer is not maps [height, width]."""
    shapes = spec.shapes()
    bad = [
        f"{name}: its output is {'×'.join(str(n or 'any') for n in shapes[name])}"
        for name in layers
        if spec.node(name) and not _spatial(spec, name)
    ]
    if bad:
        raise LayerError(
            "these layers have no maps of height and width to show",
            details=bad,
            hint="`jaxviz layers MODEL` lists every layer with its output.",
        )


def _spatial(spec: ModelSpec, name: str) -> bool:
    return len(spec.shapes()[name]) == 3


def choose_channels(maps: np.ndarray, count: int, select: str = "variance") -> tuple[int, ...]:
    """Which channels of a layer to show: the same for all images, so that rows compare.

    Args:
        maps: [image, height, width, channel].
        count: How many at most.
        select: `first`; `strongest` (largest mean magnitude); or `variance` (largest
            variance over positions: the most to see). The images take turns to choose, so
            that every image has something to show.

    Returns:
        Channel numbers in ascending order.

    Example:
        >>> maps = np.zeros((1, 2, 1, 3)); maps[0, :, 0, 1] = [0, 4]; maps[..., 2] = 9
        >>> choose_channels(maps, 1), choose_channels(maps, 1, "strongest")
        ((1,), (2,))
    """
    axes = tuple(range(1, maps.ndim - 1))
    if select == "first":
        return tuple(range(min(count, maps.shape[-1])))
    single = np.prod(maps.shape[1:-1]) == 1  # a map of one position varies nowhere
    if select == "strongest" or (select == "variance" and single):
        rank = np.abs(maps).mean(axis=axes)
    elif select == "variance":
        rank = maps.var(axis=axes, dtype=np.float64)
    else:
        raise ConfigError(
            f"there is no selection {select!r}", hint=f"There are: {', '.join(SELECTIONS)}."
        )
    wishes = np.argsort(-rank, axis=-1, kind="stable")
    in_turn = dict.fromkeys(int(k) for k in wishes.T.ravel())
    return tuple(sorted(list(in_turn)[:count]))


def check_channels(name: str, channels: Sequence[int], available: int) -> tuple[int, ...]:
    """The channels as they are, or LayerError naming those that the layer does not have."""
    bad = [str(k) for k in channels if not 0 <= k < available]
    if bad or not channels:
        found = f"channel {', '.join(bad)}" if bad else "an empty list of channels"
        raise LayerError(
            f"layer {name!r} has {available} channels (0 to {available - 1}), not {found}"
        )
    return tuple(channels)


def activation_after(spec: ModelSpec, name: str) -> tuple[str, str]:
    """(what goes into the activation, what comes out) for a layer or the layers right after it.

    Raises:
        LayerError: If no activation function follows.
    """
    node = spec.node(name)
    while not _curve(node.op):
        readers = [n for n in spec.nodes if node.name in n.inputs]
        if len(readers) != 1 or not (isinstance(readers[0].op, _BETWEEN) or _curve(readers[0].op)):
            raise LayerError(
                f"no activation function follows layer {name!r}",
                hint="It is linear, or the activation works on several layers' sum.",
            )
        node = readers[0]
    return node.inputs[0], node.name


def _curve(op: object) -> bool:
    """An activation that has a curve; softmax has none."""
    return isinstance(op, Activation) and op.channelwise and op.function != "linear"


def activated_layers(spec: ModelSpec, most: int = 6) -> tuple[str, ...]:
    """The convolutions whose activation can be shown, evenly spread if there are many."""
    found = []
    for name in spec.convolutions:
        try:
            _, after = activation_after(spec, name)
        except LayerError:
            continue
        if after not in found and _spatial(spec, after):
            found.append(after)
    if not found:
        raise LayerError(f"model {spec.name!r} has no convolution with an activation function")
    if len(found) > most:
        found = [found[i] for i in np.linspace(0, len(found) - 1, most).round().astype(int)]
    return tuple(found)
