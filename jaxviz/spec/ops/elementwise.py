"""Operations on each position by itself: activations, batch norm, arithmetic."""

from __future__ import annotations

from typing import ClassVar, Literal, get_args

from pydantic import Field, PositiveInt

from jaxviz.errors import SpecError
from jaxviz.spec.op import Op, Shape, known

#: Keras' built-in activations. `hard_sigmoid_keras2` is clip(x/5 + 1/2); Keras 3 has x/6.
ActivationName = Literal[
    "linear", "relu", "leaky_relu", "elu", "celu", "selu", "gelu", "silu", "mish",
    "sigmoid", "hard_sigmoid", "hard_sigmoid_keras2", "sparse_sigmoid", "hard_silu", "log_sigmoid",
    "tanh", "hard_tanh", "tanh_shrink", "hard_shrink", "soft_shrink",
    "softplus", "softsign", "squareplus", "sparse_plus", "exponential", "threshold",
    "softmax", "log_softmax", "sparsemax", "glu",
]  # fmt: skip
ACTIVATIONS: tuple[str, ...] = get_args(ActivationName)
# These mix the values of a whole axis, so one channel cannot be computed alone.
_MIXING = frozenset({"softmax", "log_softmax", "sparsemax", "glu"})


class Activation(Op):
    """A built-in activation function with its arguments (`negative_slope`, `max_value`, …)."""

    op: Literal["activation"] = "activation"
    function: ActivationName
    arguments: dict[str, float] = Field(default_factory=dict)

    @property
    def channelwise(self) -> bool:  # type: ignore[override]
        """Every function but those that normalise over an axis."""
        return self.function not in _MIXING

    def output_shape(self, *inputs: Shape) -> Shape:
        """The input's shape; the gated linear unit halves one axis."""
        (shape,) = inputs
        if self.function != "glu":
            return shape
        axis = int(self.arguments.get("axis", -1))
        size = known(shape[axis], "the axis that glu halves")
        if size % 2:
            raise SpecError(f"glu halves axis {axis}, which has {size} positions, an odd number")
        halved = list(shape)
        halved[axis] = size // 2
        return tuple(halved)


class PRelu(Op):
    """Leaky ReLU with a trained slope. Weight: `alpha`, of size 1 along shared axes."""

    op: Literal["prelu"] = "prelu"
    #: Axes along which one slope is shared; 0 is the first spatial axis.
    shared_axes: tuple[int, ...] = ()

    def weight_shapes(self, *inputs: Shape) -> dict[str, Shape]:
        """One slope per position and channel, except along shared axes."""
        return {"alpha": tuple(1 if i in self.shared_axes else n for i, n in enumerate(inputs[0]))}


class BatchNorm(Op):
    """Normalisation by stored statistics.

    Weights: `mean`, `variance`, `gamma`, `beta` [channels].
    """

    op: Literal["batch_norm"] = "batch_norm"
    statistics: ClassVar[tuple[str, ...]] = ("mean", "variance")
    epsilon: float = Field(ge=0)
    scale: bool = True
    center: bool = True
    #: The normalised axis, negative; -1 is the channel axis.
    axis: int = -1

    @property
    def channelwise(self) -> bool:  # type: ignore[override]
        """One channel can be computed alone if the channel axis is normalised."""
        return self.axis == -1

    def weight_shapes(self, *inputs: Shape) -> dict[str, Shape]:
        """Statistics, and scale and offset if they are trained."""
        shape: Shape = (known(inputs[0][self.axis], "the normalised axis"),)
        roles = [*self.statistics]
        roles += ["gamma"] if self.scale else []
        roles += ["beta"] if self.center else []
        return dict.fromkeys(roles, shape)


class Affine(Op):
    """x · scale + offset with fixed numbers, one for all channels or one each (Rescaling)."""

    op: Literal["affine"] = "affine"
    channelwise: ClassVar[bool] = True
    scale: tuple[float, ...]
    offset: tuple[float, ...]

    def output_shape(self, *inputs: Shape) -> Shape:
        """The input's shape."""
        (shape,) = inputs
        for name, numbers in (("scale", self.scale), ("offset", self.offset)):
            if len(numbers) not in (1, shape[-1]):
                raise SpecError(f"{name} has {len(numbers)} numbers, expected 1 or {shape[-1]}")
        return shape


class Scale(Op):
    """x · scale with trained numbers, broadcast from the last axis. Weight: `scale`."""

    op: Literal["scale"] = "scale"
    #: Shape of the weight; () is a single number.
    shape: tuple[PositiveInt, ...]

    @property
    def channelwise(self) -> bool:  # type: ignore[override]
        """The last axis of the weight is the channel axis, unless the weight is one number."""
        return bool(self.shape)

    def output_shape(self, *inputs: Shape) -> Shape:
        """The input's shape."""
        (shape,) = inputs
        if len(self.shape) > len(shape) or any(
            n != 1 and m is not None and n != m
            for n, m in zip(reversed(self.shape), reversed(shape), strict=False)
        ):
            raise SpecError(f"factors of shape {self.shape} do not fit shape {shape}")
        return shape

    def weight_shapes(self, *inputs: Shape) -> dict[str, Shape]:
        """The factors."""
        return {"scale": self.shape}


class Math(Op):
    """A function of one number; `power` takes `exponent`, `clip` takes `minimum`, `maximum`."""

    op: Literal["math"] = "math"
    channelwise: ClassVar[bool] = True
    function: Literal[
        "abs", "square", "sqrt", "rsqrt", "reciprocal", "exp", "expm1", "log", "log1p",
        "sin", "cos", "tan", "arctan", "sinh", "cosh", "erf", "sign", "floor", "ceil", "round",
        "trunc", "power", "clip",
    ]  # fmt: skip
    arguments: dict[Literal["exponent", "minimum", "maximum"], float] = Field(default_factory=dict)


class Merge(Op):
    """Elementwise combination of two or more tensors, broadcast as in NumPy."""

    op: Literal["merge"] = "merge"
    kind: Literal["add", "subtract", "multiply", "divide", "average", "maximum", "minimum"]

    channelwise: ClassVar[bool] = True

    def output_shape(self, *inputs: Shape) -> Shape:
        """The broadcast shape."""
        rank = max(len(s) for s in inputs)
        padded = [(1,) * (rank - len(s)) + s for s in inputs]
        return tuple(_broadcast(sizes, inputs) for sizes in zip(*padded, strict=True))


class Identity(Op):
    """The identity; dropout, noise and augmentation at inference."""

    op: Literal["identity"] = "identity"
    channelwise: ClassVar[bool] = True


def _broadcast(sizes: tuple[int | None, ...], shapes: tuple[Shape, ...]) -> int | None:
    found = {n for n in sizes if n != 1}
    if len(found - {None}) > 1:
        raise SpecError(f"shapes {' and '.join(map(str, shapes))} do not broadcast")
    return next(iter(found - {None}), None if None in found else 1)
