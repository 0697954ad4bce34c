"""Keras 1's configurations in the words of Keras 2.

Keras 2.0 to 2.3 still read files of Keras 1. TensorFlow's Keras and Keras 3 do not.
`kernels.py` rearranges the arrays of such files.
"""

from __future__ import annotations

from collections.abc import Iterable

from converters.document import Json
from jaxviz.errors import ModelFileError

_CLASSES = {
    "Convolution1D": "Conv1D", "Convolution2D": "Conv2D", "Convolution3D": "Conv3D",
    "AtrousConvolution1D": "Conv1D", "AtrousConvolution2D": "Conv2D",
    "SeparableConvolution2D": "SeparableConv2D", "Deconvolution2D": "Conv2DTranspose",
}  # fmt: skip
_OPTIONS = {
    "nb_filter": "filters", "filter_length": "kernel_size", "border_mode": "padding",
    "subsample": "strides", "subsample_length": "strides", "stride": "strides",
    "atrous_rate": "dilation_rate", "bias": "use_bias", "dim_ordering": "data_format",
    "pool_length": "pool_size", "length": "size", "output_dim": "units", "p": "rate",
    "sigma": "stddev",
}  # fmt: skip
_VALUES = {"th": "channels_first", "tf": "channels_last"}
#: Keras 1 omits the `dim_ordering` of these; all layers of a model have the same one.
_FORGETFUL = frozenset(
    f"{kind}{rank}D" for kind in ("ZeroPadding", "Cropping", "UpSampling") for rank in (2, 3)
)
_WINDOWS = (("nb_row", "nb_col"), ("kernel_dim1", "kernel_dim2", "kernel_dim3"))
_MERGES = {
    "sum": "Add", "mul": "Multiply", "ave": "Average", "max": "Maximum", "concat": "Concatenate",
    "dot": "Dot",
}  # fmt: skip
#: Options of initialisation and training, which mean nothing at inference.
_TRAINING = frozenset(
    [
        "init", "inner_init", "depthwise_init", "pointwise_init", "beta_init", "gamma_init",
        "weights", "mode_type", "output_mask", "output_mask_type", "output_shape_type",
    ]
)  # fmt: skip
_SIDES = ("top_pad", "bottom_pad", "left_pad", "right_pad")


def translated(document: dict[str, Json]) -> dict[str, Json]:
    """Translate a model's JSON from Keras 1 to Keras 2.

    Args:
        document: The JSON of a model or of a layer.

    Raises:
        ModelFileError: If Keras 2 has no equivalent.

    Example:
        >>> translated({"class_name": "Dense", "config": {"output_dim": 8, "bias": False}})
        {'class_name': 'Dense', 'config': {'units': 8, 'use_bias': False}}
    """
    return _translated_entry(document, _ordering(document) or "tf")


def _ordering(value: Json) -> str | None:
    """The first `dim_ordering` in a document."""
    inner: Iterable[Json] = ()
    if isinstance(value, dict):
        found = value.get("dim_ordering")
        if isinstance(found, str) and found in _VALUES:
            return found
        inner = value.values()
    elif isinstance(value, list):
        inner = value
    return next((found for item in inner if (found := _ordering(item))), None)


def _translated(value: Json, ordering: str) -> Json:
    if isinstance(value, list):
        return [_translated(item, ordering) for item in value]
    return _translated_entry(value, ordering) if isinstance(value, dict) else value


def _translated_entry(entry: dict[str, Json], ordering: str) -> dict[str, Json]:
    value = {key: _translated(item, ordering) for key, item in entry.items()}
    class_name, config = value.get("class_name"), value.get("config")
    if isinstance(class_name, str) and isinstance(config, dict) and "input_layers" not in config:
        value["class_name"], value["config"] = _layer(class_name, config, ordering)
    return value


def _layer(class_name: str, config: dict[str, Json], ordering: str) -> tuple[str, dict[str, Json]]:
    """Translate one Keras 1 layer to its Keras 2 class name and options."""
    if class_name == "Merge":
        return _merge(config)
    options = {
        _OPTIONS.get(key, key): _data_format(value) if key == "dim_ordering" else value
        for key, value in config.items()
        if key not in _TRAINING
    }
    for sides in _WINDOWS:
        if all(side in options for side in sides):
            options["kernel_size"] = [options.pop(side) for side in sides]
    if class_name.startswith("ZeroPadding"):
        options["padding"] = _padding(options.get("padding"), class_name.endswith("1D"))
    if class_name in _FORGETFUL:
        options.setdefault("data_format", _VALUES[ordering])
    return _CLASSES.get(class_name, class_name), options


def _data_format(ordering: Json) -> Json:
    return _VALUES.get(ordering, ordering) if isinstance(ordering, str) else ordering


def _padding(value: Json, one_axis: bool) -> Json:
    """One (before, after) pair for each axis, from named sides or from four numbers in a row."""
    if isinstance(value, dict):
        value = [value.get(side, 0) for side in (_SIDES[2:] if one_axis else _SIDES)]
    if isinstance(value, list) and len(value) == 4:
        return [value[:2], value[2:]]
    return value


def _merge(config: dict[str, Json]) -> tuple[str, dict[str, Json]]:
    """A `Merge(mode=…)`; Keras 2 has one class for each mode."""
    name, mode = config.get("name"), config.get("mode")
    if config.get("layers"):
        raise ModelFileError(
            f"layer {name!r} merges several models at the start of a Sequential of Keras 1, "
            "which Keras 2 cannot express",
            hint="Rebuild the network as a functional model in Keras 1, and save that.",
        )
    options = {"name": name}
    if mode == "concat":
        options["axis"] = config.get("concat_axis", -1)
    if mode == "dot":
        options["axes"] = config.get("dot_axes", -1)
    return _MERGES.get(str(mode), f"Merge(mode={str(mode)[:40]!r})"), options
