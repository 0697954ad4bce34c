"""A model's architecture as data: named nodes in order, each an operation on earlier nodes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Literal, Union

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from jaxviz.errors import ImageSizeError, LayerError, SpecError, nearest
from jaxviz.spec.op import Op, Shape
from jaxviz.spec.ops import OPS

if TYPE_CHECKING:
    AnyOp = Op
else:
    #: Any operation; its field `op` says which.
    AnyOp = Annotated[Union[OPS], Field(discriminator="op")]  # noqa: UP007 (made of a tuple)
#: Operations with a sliding kernel; an atlas shows their layers unless told otherwise.
CONVOLUTIONS: tuple[type[Op], ...] = tuple(op for op in OPS if op.convolution)

_STRICT = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Node(BaseModel):
    """One named step of a model.

    Attributes:
        name: Name of the step's result: `conv1`, `conv1/pre_activation`, `outer/conv1`, or
            `conv1@1` for the second call of a shared layer.
        op: The operation.
        inputs: Names of earlier nodes or of model inputs.
        layer: The Keras layer that the node came from, with its nesting; the layer holds the
            weights.
        stage: The stage of the layer: empty for its output, otherwise `pre_activation`,
            `depthwise`, …. Then `name` is the output's name, a slash, and the stage.
        weights: The name of the array within the layer, for each role of the operation.
    """

    model_config = _STRICT
    name: str
    op: AnyOp
    inputs: Annotated[tuple[str, ...], Field(min_length=1)]
    layer: str
    stage: str = ""
    weights: dict[str, str] = Field(default_factory=dict)

    @property
    def output_name(self) -> str:
        """Name of the layer output that this node is a stage of; its own name for an output."""
        return self.name.removesuffix(f"/{self.stage}") if self.stage else self.name


class InputRange(BaseModel):
    """The range of values that a network was trained on, in the units of its input.

    No model file states the range, and a wrong range raises no error: pictures only turn out grey
    or garish. `low` and `high` are the network's black and white, one number or one per channel in
    the network's own channel order.

    Example:
        >>> InputRange(low=(-1.0,), high=(1.0,)).span
        (2.0,)
    """

    model_config = _STRICT
    low: Annotated[tuple[float, ...], Field(min_length=1)]
    high: Annotated[tuple[float, ...], Field(min_length=1)]
    #: `bgr` if the network reads colours in Caffe's order.
    order: Literal["rgb", "bgr"] = "rgb"

    @model_validator(mode="after")
    def _ordered(self) -> InputRange:
        pairs = list(zip(self.low, self.high, strict=False))
        if len(self.low) != len(self.high) or any(lo >= hi for lo, hi in pairs):
            raise ValueError(
                f"found the range {self.low} to {self.high}, expected low < high in each channel"
            )
        return self

    @property
    def span(self) -> tuple[float, ...]:
        """Distance from `low` to `high`, per channel."""
        return tuple(hi - lo for lo, hi in zip(self.low, self.high, strict=True))


class InputSpec(BaseModel):
    """A model input: name and shape without batch, channels last; None for an open size."""

    model_config = _STRICT
    name: str
    shape: tuple[PositiveInt | None, ...]


class Source(BaseModel):
    """The file and framework that a model came from, without person, host or folder."""

    model_config = _STRICT
    #: Base name of the file, without any folder.
    file: str = ""
    sha256: str = ""
    #: `keras 2.9.0`, `tf.keras 2.2.4-tf`, …
    framework: str = ""


class ModelSpec(BaseModel):
    """A whole architecture; order, names and references are checked on construction.

    Example:
        >>> from jaxviz.spec import Conv
        >>> spec = ModelSpec(
        ...     name="tiny",
        ...     inputs=(InputSpec(name="image", shape=(8, 8, 1)),),
        ...     nodes=(
        ...         Node(
        ...             name="conv",
        ...             layer="conv",
        ...             inputs=("image",),
        ...             op=Conv(filters=4, window=(3, 3), strides=(1, 1), dilation=(1, 1),
        ...                     padding="valid"),
        ...             weights={"kernel": "kernel", "bias": "bias"},
        ...         ),
        ...     ),
        ...     outputs=("conv",),
        ... )
        >>> spec.shapes()["conv"], spec.receptive_field("conv")
        ((6, 6, 4), (3, 3))
    """

    model_config = _STRICT
    schema_version: Literal[1] = 1
    name: str
    inputs: Annotated[tuple[InputSpec, ...], Field(min_length=1)]
    nodes: tuple[Node, ...]
    outputs: Annotated[tuple[str, ...], Field(min_length=1)]
    range: InputRange | None = None
    #: Names of the classes in the order of the output, if they are known.
    labels: tuple[str, ...] = ()
    source: Source = Source()

    @model_validator(mode="after")
    def _consistent(self) -> ModelSpec:
        seen = {i.name for i in self.inputs}
        if len(seen) != len(self.inputs):
            raise ValueError(
                f"the inputs {[i.name for i in self.inputs]} do not have different names"
            )
        for node in self.nodes:
            if node.name in seen:
                raise ValueError(f"two nodes have the name {node.name!r}")
            for name in node.inputs:
                if name not in seen:
                    raise ValueError(f"{node.name!r} reads {name!r}, which does not come before it")
            seen.add(node.name)
        if missing := [name for name in self.outputs if name not in seen]:
            raise ValueError(f"the outputs {missing} do not exist")
        return self

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the JSON form: equal for equal architectures on any machine."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def __hash__(self) -> int:
        # Flax keeps the spec as static metadata, which JAX must be able to hash.
        return hash(self.digest)

    @cached_property
    def by_name(self) -> dict[str, Node]:
        """Nodes by name, in order."""
        return {node.name: node for node in self.nodes}

    @property
    def layer_names(self) -> tuple[str, ...]:
        """Names of all nodes in order: outputs of layers and their stages."""
        return tuple(self.by_name)

    @property
    def convolutions(self) -> tuple[str, ...]:
        """Names of the outputs of every layer with a sliding kernel, in order."""
        names = [n.output_name for n in self.nodes if n.op.convolution]
        return tuple(dict.fromkeys(names))

    def node(self, name: str) -> Node:
        """The node of a name.

        Raises:
            LayerError: If there is none; the message lists the nearest names.
        """
        try:
            return self.by_name[name]
        except KeyError:
            raise LayerError(
                f"model {self.name!r} has no layer {name!r}",
                hint=nearest(name, self.by_name) or "`jaxviz layers MODEL` lists the layers.",
            ) from None

    def upstream(self, names: Sequence[str]) -> tuple[Node, ...]:
        """The named nodes and all nodes that they depend on, in order."""
        wanted = set(names)
        for node in reversed(self.nodes):
            if node.name in wanted:
                wanted.update(node.inputs)
        return tuple(node for node in self.nodes if node.name in wanted)

    def inputs_of(self, names: Sequence[str]) -> tuple[InputSpec, ...]:
        """The model inputs that the named nodes depend on."""
        wanted = {i for node in self.upstream(names) for i in node.inputs} | set(names)
        return tuple(i for i in self.inputs if i.name in wanted)

    def shapes(
        self, *image_shapes: Shape, targets: Sequence[str] | None = None
    ) -> dict[str, Shape]:
        """Shape of every node's result, without batch.

        Args:
            image_shapes: Shape of each model input that `targets` depend on; the model's own
                shapes by default.
            targets: Names of nodes; only nodes that they depend on are included. All by default.

        Raises:
            ImageSizeError: If a map is too small or does not fit; the message names the node.
        """
        inputs = self.inputs if targets is None else self.inputs_of(targets)
        given = image_shapes or tuple(i.shape for i in inputs)
        shapes: dict[str, Shape] = {i.name: s for i, s in zip(inputs, given, strict=True)}
        for node in self.nodes if targets is None else self.upstream(targets):
            try:
                shapes[node.name] = _output_shape(node, [shapes[i] for i in node.inputs])
            except SpecError as error:
                sizes = " and ".join("×".join(map(str, s)) for s in given)
                raise ImageSizeError(
                    f"an image of {sizes} does not fit layer {node.name!r}: {error}"
                ) from error
        return shapes

    def weight_shapes(self) -> Iterator[tuple[Node, str, Shape]]:
        """(node, role, expected shape) of every weight; None for an open size."""
        shapes = self.shapes()
        for node in self.nodes:
            expected = _weight_shapes(node, [shapes[i] for i in node.inputs])
            for role, shape in expected.items():
                yield node, role, shape

    def receptive_field(self, name: str) -> tuple[int | None, ...]:
        """Receptive field: input pixels that one position reads, per spatial axis; None for all."""
        image = self.inputs_of([name])[0]
        return tuple(self._extent(name, image.name, axis) for axis in range(len(image.shape) - 1))

    def _extent(self, name: str, image: str, axis: int) -> int | None:
        extents: dict[str, int | None] = {name: 1}
        for node in reversed(self.upstream([name])):
            if node.name not in extents:
                continue
            own = extents[node.name]
            extent = None if own is None else node.op.input_extent(own, axis)
            for source in node.inputs:
                before = extents.get(source, 0)
                extents[source] = None if extent is None or before is None else max(before, extent)
        return extents.get(image, 1)

    def least_image_size(self, name: str, limit: int = 4096) -> int | None:
        """Side of the smallest square image that fits a layer; None if none below `limit` fits."""
        image = self.inputs_of([name])[0].shape
        for size in range(1, limit):
            try:
                self.shapes((size,) * (len(image) - 1) + (image[-1],), targets=[name])
            except (SpecError, ImageSizeError):
                continue
            return size
        return None


# Exceptions that an operation's arithmetic raises on shapes of the wrong rank.
_MISFIT = (ValueError, IndexError, TypeError, ArithmeticError)


def _output_shape(node: Node, shapes: Sequence[Shape]) -> Shape:
    try:
        return node.op.output_shape(*shapes)
    except _MISFIT as error:
        raise SpecError(_misfit(node, shapes)) from error


def _weight_shapes(node: Node, shapes: Sequence[Shape]) -> dict[str, Shape]:
    try:
        return node.op.weight_shapes(*shapes)
    except _MISFIT as error:
        raise SpecError(_misfit(node, shapes)) from error


def _misfit(node: Node, shapes: Sequence[Shape]) -> str:
    return f"{node.op.op} does not take inputs of shape {' and '.join(map(str, shapes))}"
