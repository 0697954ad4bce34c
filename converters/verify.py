"""The comparison of a converted model with Keras, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import jax
import numpy as np

from converters import keras_live, lower, reference
from converters.keras_live import KerasModel
from converters.layers.value import in_order
from jaxviz.bundle import Bundle
from jaxviz.errors import ConversionError, ModelFileError
from jaxviz.model import run
from jaxviz.spec import ModelSpec

#: Largest relative L2 error of a layer's output that float32 arithmetic explains.
TOLERANCE = 1e-5
#: Largest relative L2 error that the matrix units of accelerators (bfloat16, TF32) explain.
COARSE_TOLERANCE = 2e-2
_SEED = 20240229
#: Pixels a side of the test image if the model leaves the size open.
_OPEN_SIZE = 64
#: Most values of each layer in the probes.
_PROBE_SIZE = 256


@dataclass(frozen=True)
class Row:
    """The difference of one layer's output from the reference.

    Attributes:
        name: Name of the layer.
        error: ‖output − reference‖ / ‖reference‖; infinite if shapes differ.
        largest: Largest absolute difference.
        scale: Root mean square of the reference.
    """

    name: str
    error: float
    largest: float
    scale: float


@dataclass(frozen=True)
class Report:
    """A model compared with its reference, worst layer first.

    Attributes:
        model: Name of the model.
        reference: Name of the reference.
        rows: One row for each compared layer.
        missing: Names of nodes that the reference lacks.
        tolerance: Largest error that counts as equal.
        probes: The inputs, and a sample of each of the reference's results, by name.
    """

    model: str
    reference: str
    rows: tuple[Row, ...]
    missing: tuple[str, ...] = ()
    tolerance: float = TOLERANCE
    probes: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)

    @property
    def worst(self) -> Row:
        """The layer with the largest error."""
        return self.rows[0]

    @property
    def median(self) -> float:
        """The median layer's error."""
        return float(np.median([row.error for row in self.rows]))

    @property
    def passed(self) -> bool:
        """Whether every layer is within the tolerance."""
        return bool(self.rows) and self.worst.error <= self.tolerance

    def with_probes(self, bundle: Bundle) -> Bundle:
        """The bundle with Keras' own activations, for `check_probes` on any machine."""
        return replace(bundle, probes=self.probes)

    def table(self, most: int | None = 20) -> str:
        """The worst layers, as text.

        Args:
            most: Most rows; None for all.
        """
        width = max([len(row.name) for row in self.rows[:most]] + [5])
        lines = [f"{'layer':<{width}}  relative error  largest difference  scale"]
        lines += [
            f"{row.name:<{width}}  {row.error:14.1e}  {row.largest:18.1e}  {row.scale:.1e}"
            for row in self.rows[:most]
        ]
        return "\n".join(lines)

    def __str__(self) -> str:
        verdict = "equal" if self.passed else "DIFFERENT"
        return (
            f"{self.model} against {self.reference}: {verdict}, {len(self.rows)} layers, "
            f"worst {self.worst.error:.1e}, median {self.median:.1e}, "
            f"allowed {self.tolerance:.0e}\n{self.table()}"
        )


def verify(
    bundle: Bundle,
    model: KerasModel,
    images: np.ndarray | Mapping[str, np.ndarray] | None = None,
    *,
    weights: str | Path | None = None,
    tolerance: float = TOLERANCE,
) -> Report:
    """Compare every layer's output with Keras' output on equal inputs.

    Args:
        bundle: The converted model.
        model: A live Keras model, the path of a model file, or a `module:function` that
            returns a model. Keras loads the file.
        images: Inputs [batch, …, channel] by input name, or one array for the first input.
            The default is random images in the model's range.
        weights: The file of weights if the model file holds only the architecture.
        tolerance: Largest relative L2 error that counts as equal.

    Raises:
        ModelFileError: If Keras is not installed, or cannot load the file.
        ConversionError: If the reference has none of the model's layers.
    """
    spec = bundle.spec
    if isinstance(model, str | Path):
        path = Path(model)
        if path.exists():
            model = reference.load_keras(path, None if weights is None else Path(weights))
        else:
            model = keras_live.call_for_model(str(model))
    network, _, source = keras_live.read_live(model)
    axes = lower.lower(network, source, _until(spec)).axes
    inputs = _inputs(spec, images)
    keras_inputs = {n: as_keras(a, axes.get(n)) for n, a in inputs.items()}
    computed = reference.activations(model, keras_inputs)
    taps = [name for name in spec.layer_names if name in computed]
    if not taps:
        raise ConversionError(
            f"cannot compare {spec.name!r}: the reference {source.framework} has none of its layers"
        )
    expected = {name: as_spec(computed[name], axes.get(name)) for name in taps}
    outputs = _flax(bundle, inputs, taps)
    rows = [_row(name, outputs[name], expected[name]) for name in taps]
    known = set(taps)
    missing = tuple(n.name for n in spec.nodes if n.name not in known and not n.stage)
    probes = {**inputs, **{name: _sampled(array) for name, array in expected.items()}}
    return _report(spec, source.framework, rows, missing, tolerance, probes)


def check_probes(bundle: Bundle, tolerance: float | None = None) -> Report:
    """Compare the Flax model with the activations in its bundle, without Keras.

    Args:
        bundle: A bundle with probes.
        tolerance: Largest relative L2 error that counts as equal; the default follows from the
            device's precision.

    Raises:
        ModelFileError: If the bundle holds no probes.
    """
    spec = bundle.spec
    names = [i.name for i in spec.inputs]
    if not bundle.probes or any(name not in bundle.probes for name in names):
        raise ModelFileError(
            f"the bundle of {spec.name!r} holds no probes",
            hint="Convert again and store them: jaxviz convert MODEL --verify",
        )
    inputs = {name: bundle.probes[name] for name in names}
    if tolerance is None:
        tolerance = TOLERANCE if jax.default_backend() == "cpu" else COARSE_TOLERANCE
    taps = [name for name in spec.layer_names if name in bundle.probes]
    outputs = _flax(bundle, inputs, taps)
    rows = [_row(name, _sampled(outputs[name]), bundle.probes[name]) for name in taps]
    return _report(spec, "its stored probes", rows, (), tolerance)


def random_inputs(spec: ModelSpec, batch: int = 2) -> dict[str, np.ndarray]:
    """Uniform noise from a fixed seed, over the model's range or from 0 to 1.

    Args:
        spec: The architecture.
        batch: Number of images.

    Returns:
        Float32 arrays [batch, …, channel] by input name.
    """
    generator = np.random.default_rng(_SEED)
    low, high = (spec.range.low, spec.range.high) if spec.range else ((0.0,), (1.0,))
    inputs = {}
    for source in spec.inputs:
        shape = tuple(n or _OPEN_SIZE for n in source.shape)
        noise = generator.uniform(size=(batch, *shape))
        if len(low) in (1, shape[-1]):
            noise = np.asarray(low) + noise * (np.asarray(high) - np.asarray(low))
        inputs[source.name] = noise.astype(np.float32)
    return inputs


def _until(spec: ModelSpec) -> str | None:
    """The layer with which the same part of the model is lowered again."""
    return spec.outputs[0] if len(spec.outputs) == 1 and spec.outputs[0] in spec.by_name else None


def _inputs(
    spec: ModelSpec, images: np.ndarray | Mapping[str, np.ndarray] | None
) -> dict[str, np.ndarray]:
    inputs = random_inputs(spec)
    if isinstance(images, Mapping):
        inputs |= {name: np.asarray(array, np.float32) for name, array in images.items()}
    elif images is not None:
        inputs[spec.inputs[0].name] = np.asarray(images, np.float32)
    return inputs


def as_keras(array: np.ndarray, axes: tuple[int, ...] | None) -> np.ndarray:
    """A batch in Keras' layout, from the spec's; see `Value.axes`."""
    if axes is None or axes == in_order(len(axes)):
        return array
    return array.transpose(0, *(axis + 1 for axis in axes))


def as_spec(array: np.ndarray, axes: tuple[int, ...] | None) -> np.ndarray:
    """A batch in the spec's layout, from Keras'; see `Value.axes`."""
    if axes is None or axes == in_order(len(axes)):
        return array
    return array.transpose(0, *(axes.index(j) + 1 for j in range(len(axes))))


def _flax(
    bundle: Bundle, inputs: Mapping[str, np.ndarray], taps: list[str]
) -> dict[str, np.ndarray]:
    with jax.default_matmul_precision("highest"):
        function = jax.jit(lambda weights, given: run(bundle.spec, weights, given, taps))
        outputs = function(bundle.weights, dict(inputs))
    return {name: np.asarray(array) for name, array in outputs.items()}


def _row(name: str, found: np.ndarray, expected: np.ndarray) -> Row:
    expected = expected.astype(np.float64)
    scale = float(np.sqrt(np.mean(expected**2))) if expected.size else 0.0
    if found.shape != expected.shape:
        return Row(name, float("inf"), float("inf"), scale)
    difference = found.astype(np.float64) - expected
    norm = float(np.linalg.norm(expected))
    error = float(np.linalg.norm(difference))
    relative = error / norm if norm > 0 else error
    if not np.isfinite(relative):
        relative = 0.0 if np.array_equal(found, expected, equal_nan=True) else float("inf")
    return Row(name, relative, float(np.max(np.abs(difference), initial=0.0)), scale)


def _report(
    spec: ModelSpec,
    reference: str,
    rows: list[Row],
    missing: tuple[str, ...],
    tolerance: float,
    probes: Mapping[str, np.ndarray] | None = None,
) -> Report:
    ordered = tuple(sorted(rows, key=lambda row: -row.error))
    name = spec.source.file or spec.name
    return Report(name, reference, ordered, missing, tolerance, probes or {})


def _sampled(array: np.ndarray) -> np.ndarray:
    """Up to `_PROBE_SIZE` evenly spread values of an activation."""
    flat = np.asarray(array, np.float32).reshape(-1)
    positions = np.linspace(0, flat.size - 1, min(flat.size, _PROBE_SIZE)).astype(np.int64)
    return flat[positions]
