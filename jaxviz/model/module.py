"""A converted model as a Flax NNX module; `graph` runs the same model without Flax."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxviz.bundle import Bundle
from jaxviz.errors import ImageSizeError
from jaxviz.model.graph import run


class Model(nnx.Module):
    """A converted Keras model as an ordinary Flax NNX module.

    Its parameters are `model.params[layer][name]`, keyed by Keras layer name: trained
    weights as `nnx.Param`, batch-norm statistics as `nnx.BatchStat`. Batch norm and dropout
    behave as at inference.

    Example:
        >>> import jaxviz
        >>> model = jaxviz.load(jaxviz.example("galaxy_cnn.keras"))
        >>> probabilities, seen = model(np.zeros((1, *model.input_shape)), taps=["conv1"])
        >>> probabilities.shape, seen["conv1"].shape[-1] == model.shapes["conv1"][-1]
        ((1, 5), True)
    """

    def __init__(self, bundle: Bundle) -> None:
        self.spec = bundle.spec
        statistics = {
            (node.layer, node.weights[role])
            for node in bundle.spec.nodes
            for role in node.op.statistics
        }
        self.params = nnx.data(
            {
                layer: {
                    name: (nnx.BatchStat if (layer, name) in statistics else nnx.Param)(
                        jnp.asarray(array, jnp.float32)
                    )
                    for name, array in arrays.items()
                }
                for layer, arrays in bundle.weights.items()
            }
        )

    def __call__(
        self, images: jax.Array | np.ndarray | Mapping[str, jax.Array], taps: Sequence[str] = ()
    ) -> jax.Array | tuple[jax.Array, ...] | tuple[object, dict[str, jax.Array]]:
        """The model's output, and with `taps` also {name: activations}.

        Args:
            images: [batch, height, width, channels] in the Keras model's own input units;
                a dict by input name for a model with several inputs.
            taps: Layer names; see `layer_names`.

        Returns:
            The output (a tuple of them where the model has several), or with taps a pair of
            the output and {name: activations [batch, …, channels]}.

        Raises:
            LayerError: If a tap does not exist.
            ImageSizeError: If the images do not fit the network.
        """
        tensors = self._inputs(images)
        for name in taps:
            self.spec.node(name)
        wanted = tuple(dict.fromkeys([*self.spec.outputs, *taps]))
        values = run(self.spec, self.arrays(), tensors, wanted)
        outputs = tuple(values[name] for name in self.spec.outputs)
        output = outputs[0] if len(outputs) == 1 else outputs
        return (output, {name: values[name] for name in taps}) if taps else output

    def arrays(self) -> dict[str, dict[str, jax.Array]]:
        """The weights as plain arrays by layer and name."""
        return {
            layer: {name: variable[...] for name, variable in variables.items()}
            for layer, variables in self.params.items()
        }

    @property
    def layer_names(self) -> tuple[str, ...]:
        """Everything that can be tapped, in order."""
        return self.spec.layer_names

    @property
    def shapes(self) -> dict[str, tuple[int | None, ...]]:
        """Shape of every tap without batch, for the model's own input size."""
        return self.spec.shapes()

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """Shape of the (first) input without batch."""
        return self.spec.inputs[0].shape

    def _inputs(
        self, images: jax.Array | np.ndarray | Mapping[str, jax.Array]
    ) -> dict[str, jax.Array]:
        if not isinstance(images, Mapping):
            images = {self.spec.inputs[0].name: images}  # type: ignore[dict-item]
        tensors = {}
        for source in self.spec.inputs:
            if source.name not in images:
                raise ImageSizeError(
                    f"model {self.spec.name!r} needs the input {source.name!r}, "
                    f"found {sorted(images)}"
                )
            tensor = jnp.asarray(images[source.name], jnp.float32)
            if tensor.ndim != len(source.shape) + 1 or tensor.shape[-1] != source.shape[-1]:
                expected = ("batch", *source.shape)
                raise ImageSizeError(
                    f"input {source.name!r} has shape {tensor.shape}, expected {expected}"
                )
            tensors[source.name] = tensor
        self.spec.shapes(*(tensors[i.name].shape[1:] for i in self.spec.inputs))
        return tensors
