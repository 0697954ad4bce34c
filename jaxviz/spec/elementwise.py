"""Operations that work on each position by itself: activations, norms, arithmetic."""

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
#: These mix the values of a whole axis, so they cannot be computed for one channel alone.
_MIXING = frozenset({"softmax", "log_softmax", "sparsemax", "glu"})


class Activation(Op):
    """A built-in activation function with its arguments (`negative_slope`, `max_value`, …)."""

    op: Literal["activation"] = "activation"
    function: ActivationName
    arguments: dict[str, float] = Field(default_factory=dict)

    @property
    def channelwise(self) -> bool:  # type: ignore[override]
        """All but those that normalise over an axis."""
        return self.function not in _MIXING

    def output_shape(self, *inputs: Shape) -> Shape:
        """Unchanged, but for the gated linear unit, which halves an axis."""
        (shape,) = inputs
        if self.function != "glu":
            return shape
        axis = int(self.arguments.get("axis", -1))
        size = known(shape[axis], "the axis that glu halves")
        if size % 2:
            raise SpecError(f"glu cannot halve an axis of {size} positions")
        halved = list(shape)
        halved[axis] = size // 2
        return tuple(halved)


class PRelu(Op):
    """Leaky ReLU with a learned slope. Weight: `alpha`, 1 along shared axes."""

    op: Literal["prelu"] = "prelu"
    #: Axes (0 is the first spatial one) along which one slope is shared.
    shared_axes: tuple[int, ...] = ()

    def weight_shapes(self, *inputs: Shape) -> dict[str, Shape]:
        """One slope per position and channel, or shared."""
        return {"alpha": tuple(1 if i in self.shared_axes else n for i, n in enumerate(inputs[0]))}


class BatchNorm(Op):
    """Normalisation by stored statistics.

    Weights: `mean`, `variance`, `gamma`, `beta` [channels].
    """

    op: Literal["batch_norm"] = "batch_norm"
    epsilon: float = Field(ge=0)
    scale: bool = True
    center: bool = True
    #: Negative; -1 is the channel axis.
    axis: int = -1

    @property
    def channelwise(self) -> bool:  # type: ignore[override]
        """Only over the channel axis can one channel be computed alone."""
        return self.axis == -1

    def weight_shapes(self, *inputs: Shape) -> dict[str, Shape]:
        """Statistics, and scale and offset where they are learned."""
        shape: Shape = (known(inputs[0][self.axis], "the normalised axis"),)
        roles = ["mean", "variance"]
        roles += ["gamma"] if self.scale else []
        roles += ["beta"] if self.center else []
        return dict.fromkeys(roles, shape)


class Affine(Op):
    """Fixed scale and offset, x · scale + offset, one number or one per channel (Rescaling)."""

    op: Literal["affine"] = "affine"
    channelwise: ClassVar[bool] = True
    scale: tuple[float, ...]
    offset: tuple[float, ...]

    def output_shape(self, *inputs: Shape) -> Shape:
        """Unchanged."""
        (shape,) = inputs
        for numbers in (self.scale, self.offset):
            if len(numbers) not in (1, shape[-1]):
                raise SpecError(f"{len(numbers)} factors for {shape[-1]} channels")
        return shape


class Scale(Op):
    """x · scale with learned numbers, broadcast from the last axis. Weight: `scale`."""

    op: Literal["scale"] = "scale"
    #: Of the weight; () is one number for everything.
    shape: tuple[PositiveInt, ...]

    @property
    def channelwise(self) -> bool:  # type: ignore[override]
        """Where the last axis of the weight is the channels."""
        return bool(self.shape)

    def output_shape(self, *inputs: Shape) -> Shape:
        """Unchanged."""
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
    """A function of one number, with its arguments (`exponent`; `minimum`, `maximum` of clip)."""

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
    """Nothing at inference: dropout, noise, augmentation."""

    op: Literal["identity"] = "identity"
    channelwise: ClassVar[bool] = True


def _broadcast(sizes: tuple[int | None, ...], shapes: tuple[Shape, ...]) -> int | None:
    found = {n for n in sizes if n != 1}
    if len(found - {None}) > 1:
        raise SpecError(f"shapes {' and '.join(map(str, shapes))} do not fit each other")
    return next(iter(found - {None}), None if None in found else 1)
