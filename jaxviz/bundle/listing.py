"""The layers of a model, as a table for people and as rows for programs."""

from __future__ import annotations

import math
from typing import TypedDict

from jaxviz._util.text import table_lines
from jaxviz.bundle import Bundle
from jaxviz.errors import ImageSizeError


class LayerRow(TypedDict):
    """One layer or stage of a model.

    Attributes:
        name: Name of the node.
        op: Name of the operation.
        shape: Shape of the result without batch, None for open sizes; None if it depends on an
            open size.
        channels: Size of the last axis; None if it is open.
        parameters: Number of weights.
        receptive_field: Input pixels that one position reads, per spatial axis; None for all.
    """

    name: str
    op: str
    shape: list[int | None] | None
    channels: int | None
    parameters: int
    receptive_field: list[int | None]


def layer_rows(bundle: Bundle) -> list[LayerRow]:
    """One row per node of a model, in order.

    Example:
        >>> import jaxviz
        >>> bundle = jaxviz.load_bundle(jaxviz.example("galaxy_cnn.keras"))
        >>> layer_rows(bundle)[0]["op"]
        'conv'
    """
    spec = bundle.spec
    try:
        shapes = spec.shapes()
    except ImageSizeError:  # an operation needs a size that is open
        shapes = {}
    rows: list[LayerRow] = []
    for node in spec.nodes:
        shape = shapes.get(node.name)
        used = (bundle.weights[node.layer][name] for name in node.weights.values())
        try:
            field = list(spec.receptive_field(node.name))
        except (IndexError, ValueError):
            field = []
        rows.append(
            {
                "name": node.name,
                "op": node.op.op,
                "shape": None if shape is None else list(shape),
                "channels": shape[-1] if shape else None,
                "parameters": sum(math.prod(array.shape) for array in used),
                "receptive_field": field,
            }
        )
    return rows


def layer_table(bundle: Bundle) -> str:
    """The rows of `layer_rows` as aligned text, with totals."""
    rows = layer_rows(bundle)
    lines = [("layer", "op", "output", "channels", "parameters", "sees")]
    for row in rows:
        lines.append(
            (
                row["name"],
                row["op"],
                "?" if row["shape"] is None else _times(row["shape"], "?"),
                "" if row["channels"] is None else str(row["channels"]),
                f"{row['parameters']:,}" if row["parameters"] else "",
                _times(row["receptive_field"], "all"),
            )
        )
    text = table_lines(lines, left=(0, 1, 2, 5))
    total = sum(a.size for arrays in bundle.weights.values() for a in arrays.values())
    convolutions = len(bundle.spec.convolutions)
    text.append(f"{len(rows)} layers, {convolutions} of them convolutions, {total:,} parameters")
    return "\n".join(text)


def _times(sizes: list[int | None], unknown: str) -> str:
    if sizes and all(n is None for n in sizes) and unknown == "all":
        return "all"
    return "×".join(unknown if n is None else str(n) for n in sizes)
