"""Keras 1's configurations as Keras 2 would have written them: other names for the same.

Keras 2.0 to 2.3 could still read them; TensorFlow's Keras and Keras 3 cannot. Its kernels
are in `kernels.py`.
"""

from __future__ import annotations

from typing import Any

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
#: Keras 1 does not write down their `dim_ordering`; all layers of a model have the same.
_FORGETFUL = frozenset(
    f"{kind}{rank}D" for kind in ("ZeroPadding", "Cropping", "UpSampling") for rank in (2, 3)
)
_WINDOWS = (("nb_row", "nb_col"), ("kernel_dim1", "kernel_dim2", "kernel_dim3"))
_MERGES = {
    "sum": "Add", "mul": "Multiply", "ave": "Average", "max": "Maximum", "concat": "Concatenate",
    "dot": "Dot",
}  # fmt: skip
#: What says how arrays were made and trained; nothing of it is left at inference.
_TRAINING = frozenset(
    [
        "init", "inner_init", "depthwise_init", "pointwise_init", "beta_init", "gamma_init",
        "weights", "mode_type", "output_mask", "output_mask_type", "output_shape_type",
    ]
)  # fmt: skip
_SIDES = ("top_pad", "bottom_pad", "left_pad", "right_pad")


def translated(document: Any) -> Any:
    """A model's JSON as Keras 2 would have written it.

    Raises:
        ModelFileError: For what Keras 2 cannot say either.

    Example:
        >>> translated({"class_name": "Dense", "config": {"output_dim": 8, "bias": False}})
        {'class_name': 'Dense', 'config': {'units': 8, 'use_bias': False}}
    """
    return _translated(document, _ordering(document) or "tf")


def _ordering(value: Any) -> str | None:
    """The first `dim_ordering` anywhere."""
    if isinstance(value, dict) and value.get("dim_ordering") in _VALUES:
        return str(value["dim_ordering"])
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((found for item in inner if (found := _ordering(item))), None)


def _translated(value: Any, ordering: str) -> Any:
    if isinstance(value, list):
        return [_translated(item, ordering) for item in value]
    if not isinstance(value, dict):
        return value
    value = {key: _translated(item, ordering) for key, item in value.items()}
    class_name, config = value.get("class_name"), value.get("config")
    if isinstance(class_name, str) and isinstance(config, dict) and "input_layers" not in config:
        value["class_name"], value["config"] = _layer(class_name, config, ordering)
    return value


def _layer(class_name: str, config: dict[str, Any], ordering: str) -> tuple[str, dict[str, Any]]:
    if class_name == "Merge":
        return _merge(config)
    options = {
        _OPTIONS.get(key, key): _VALUES.get(value, value) if key == "dim_ordering" else value
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


def _padding(value: Any, one_axis: bool) -> Any:
    """Amounts by the names of the sides, or four in a row, as one pair an axis."""
    if isinstance(value, dict):
        value = [value.get(side, 0) for side in (_SIDES[2:] if one_axis else _SIDES)]
    if isinstance(value, list) and len(value) == 4:
        return [value[:2], value[2:]]
    return value


def _merge(config: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """`Merge(mode=…)`, which Keras 2 has as a class for each mode."""
    name, mode = config.get("name"), config.get("mode")
    if config.get("layers"):
        raise ModelFileError(
            f"{name!r} joins several models at the beginning of a Sequential of Keras 1",
            hint="Build it as a functional model in Keras 1, and save that.",
        )
    options = {"name": name}
    if mode == "concat":
        options["axis"] = config.get("concat_axis", -1)
    if mode == "dot":
        options["axes"] = config.get("dot_axes", -1)
    return _MERGES.get(str(mode), f"Merge(mode={str(mode)[:40]!r})"), options
