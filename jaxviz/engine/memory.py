"""The number of units that fit into a device's memory, and retries with fewer units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import jax

from jaxviz.errors import MemoryLimitError
from jaxviz.model.cost import step_cost
from jaxviz.spec import ModelSpec

ResultT = TypeVar("ResultT")
#: Fraction of a device's memory that a step may take; the rest is for other programs and gaps.
MEMORY_SHARE = 0.8
# A layer's result and its gradient; a picture's latent, gradient, two moments and updates.
_COPIES_OF_RESULTS, _COPIES_OF_PICTURE = 2, 8


def fitting_chunk(memory: Callable[[int], float], limit: float | None, most: int) -> int:
    """The largest number of units that fits, by halving `most`.

    Args:
        memory: Number of units -> bytes that a device needs.
        limit: Bytes that the device has; None if unknown.
        most: Number of units wanted.

    Returns:
        At least 1, even if one unit does not fit.

    Example:
        >>> fitting_chunk(lambda units: units * 3e9, 16e9, 64)
        4
    """
    while limit is not None and most > 1 and memory(most) > MEMORY_SHARE * limit:
        most = (most + 1) // 2
    return most


def estimated_memory(
    spec: ModelSpec, layers: Sequence[str], shape: tuple[int, int, int], dtype: str, pictures: int
) -> float:
    """Estimate the bytes that a step takes, from the architecture alone.

    Args:
        spec: The architecture.
        layers: The layers that the objective reads.
        shape: (height, width, channels) of the picture.
        dtype: Type of the network's arithmetic.
        pictures: Number of pictures that go through the network at once.
    """
    line = len(spec.inputs[0].shape) == 2
    costs = [step_cost(spec, layer, shape[1:] if line else shape) for layer in layers]
    width = 2 if dtype == "bfloat16" else 4
    weights = 4 * max(cost.weights for cost in costs)
    results = _COPIES_OF_RESULTS * width * max(cost.activations for cost in costs)
    picture = _COPIES_OF_PICTURE * 4 * shape[0] * shape[1] * shape[2]
    return weights + pictures * (results + picture)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device's memory was too small."""
    return isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)


def with_fewer_units(
    run: Callable[[int], ResultT], chunk: int, layer: str
) -> tuple[ResultT, list[int]]:
    """Run with `chunk` units at once, and with half as many whenever memory runs out.

    Args:
        run: Does all the work with a given number of units at once.
        chunk: Number of units in the first try.
        layer: The layer's name, for the error.

    Returns:
        The result, and the sizes that did not fit, the largest first.

    Raises:
        MemoryLimitError: If not even one unit fits.
    """
    too_large: list[int] = []
    while True:
        try:
            return run(chunk), too_large
        except jax.errors.JaxRuntimeError as error:
            if not out_of_memory(error):
                raise
            said = str(error).splitlines()[0]
        # outside the handler, because the exception keeps the failed try's arrays alive
        if chunk == 1:
            raise MemoryLimitError(
                f"not even one unit of layer {layer!r} fits into the device's memory",
                details=[said],
                hint="Smaller pictures need less memory; try --size 64.",
            )
        too_large.append(chunk)
        chunk = (chunk + 1) // 2
