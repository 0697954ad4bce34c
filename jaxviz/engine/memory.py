"""How many units a device's memory holds at once, and what is done where it held fewer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import jax

from jaxviz.errors import MemoryLimitError
from jaxviz.model.cost import step_cost
from jaxviz.spec import ModelSpec

ResultT = TypeVar("ResultT")
#: Share of a device's memory that a step may take; the rest is for other programs and gaps.
MEMORY_SHARE = 0.8
# A layer's result and its gradient, and of the picture: latent, gradient, two moments, updates.
_COPIES_OF_RESULTS, _COPIES_OF_PICTURE = 2, 8


def fitting_chunk(memory: Callable[[int], float], limit: float | None, most: int) -> int:
    """The most units at once that fit, of `most`, half of that, and so on.

    Args:
        memory: Bytes that a device needs for so many units.
        limit: Bytes that it has; None where nobody knows.
        most: How many units are wanted.

    Returns:
        At least 1, even where that does not fit.

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
    """Bytes that a step takes, from the architecture alone.

    Args:
        spec: The architecture.
        layers: The layers that are looked at.
        shape: (height, width, channels) of the picture.
        dtype: What the network is computed in.
        pictures: How many go through the network at once.
    """
    line = len(spec.inputs[0].shape) == 2
    costs = [step_cost(spec, layer, shape[1:] if line else shape) for layer in layers]
    width = 2 if dtype == "bfloat16" else 4
    weights = 4 * max(cost.weights for cost in costs)
    results = _COPIES_OF_RESULTS * width * max(cost.activations for cost in costs)
    picture = _COPIES_OF_PICTURE * 4 * shape[0] * shape[1] * shape[2]
    return weights + pictures * (results + picture)


def out_of_memory(error: BaseException) -> bool:
    """Whether a device's memory was too small."""
    return isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)


def with_fewer_units(
    run: Callable[[int], ResultT], chunk: int, layer: str
) -> tuple[ResultT, list[int]]:
    """Run with `chunk` units at once, and with half of them whenever memory runs out.

    Args:
        run: Does all the work, that many units at once.
        chunk: How many at first.
        layer: Named in the error.

    Returns:
        The result, and the chunks that did not fit, the largest first.

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
        # outside of the handler, so that nothing keeps the arrays of the failed try alive
        if chunk == 1:
            raise MemoryLimitError(
                f"not even one unit of layer {layer!r} fits into the device's memory",
                details=[said],
                hint="Smaller pictures need less memory: --size N.",
            )
        too_large.append(chunk)
        chunk = (chunk + 1) // 2
