"""The implementations of every operation, and the rules that passes over the graph ask for.

`reference` registers an operation: the implementation `direct`, which is XLA's own and
differentiable in everything, and the operation's rules. The passes (`cost`, `bounds`, `channel`,
`fusion`) ask the rules, so none of them names an operation.

`implements` adds a faster exact implementation. `prefer` and `prefer_beside` say where that
implementation is chosen; `jaxviz.model.dispatch` follows them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import jax
import numpy as np
from jax import lax

from jaxviz.model.ops.intervals import Interval
from jaxviz.spec import Op, Shape

OpT = TypeVar("OpT", bound=Op)
ComputeT = TypeVar("ComputeT", bound=Callable[..., jax.Array])
PrepareT = TypeVar("PrepareT", bound=Callable[..., dict[str, np.ndarray]])
RuleT = TypeVar("RuleT", bound=Callable[..., bool])

#: Weights of one operation by role.
Weights = Mapping[str, jax.Array]
#: Weights of one operation by role, before any step is compiled.
HostWeights = Mapping[str, np.ndarray | jax.Array]
#: (operation, weights) -> further weights that an implementation derives once.
Prepare = Callable[[Any, HostWeights], dict[str, np.ndarray]]
#: (operation, shapes of the inputs, shape of the result) -> floating-point operations, forward.
Flops = Callable[[OpT, Sequence[Shape], Shape], int]
#: (operation, weights, intervals of the inputs) -> interval of the result, None if unbounded.
Bounds = Callable[[OpT, Mapping[str, np.ndarray], Sequence[Interval]], Interval | None]
#: (operation, weights, channel, inputs of that channel, implementation) -> [batch, …, 1].
FromSame = Callable[[OpT, Weights, jax.Array, Sequence[jax.Array], str], jax.Array]
#: (operation, weights, channel, whole input, apart) -> [batch, …, 1]; see `OneChannel`.
FromWhole = Callable[[OpT, Weights, jax.Array, jax.Array, bool], jax.Array]
#: (operation, weights) -> (factor, offset) of each channel, in float64.
Factors = Callable[[OpT, HostWeights], tuple[np.ndarray, np.ndarray]]
#: (operation, kernel, factor of each channel) -> the kernel that multiplies by them as well.
ScaledKernel = Callable[[OpT, np.ndarray, np.ndarray], np.ndarray]

DIRECT = "direct"
#: A batch norm whose factors the convolution before it has taken over.
FOLDED = "folded"
#: A ReLU or batch norm whose result stays in memory and serves its gradient.
KEPT = "result kept"
#: An activation that recomputes its gradient from its input.
INPUT_KEPT = "input kept"
#: A ReLU, and the maximum pooling behind it that does the ReLU's work on fewer values.
MOVED = "relu moved"
#: Like `MOVED`, with XLA's own pooling.
MOVED_DIRECT = "relu moved, direct"
#: With a gradient that replaces the one autodiff finds.
WRITTEN_OUT = "written out"
#: Padding lower than any value, so that it never wins in the maximum pooling behind it.
LOWEST = "lowest around"
#: Several readers of one node: the sum of their gradients in memory, or the result as well.
BACKWARD, BOTH_WAYS = "gradient apart", "apart both ways"

#: Platforms of `prefer`.
CPU, TPU = frozenset({"cpu"}), frozenset({"tpu"})


class InMemory(NamedTuple):
    """Which ends of an implementation lie in memory, instead of being fused with neighbours.

    Attributes:
        input: The implementation reads its input from memory as the input was written.
        result: The implementation writes its result to memory outside any loop of its own.
    """

    input: bool = False
    result: bool = False


FUSED, INPUT, BOTH = InMemory(), InMemory(input=True), InMemory(input=True, result=True)


@dataclass(frozen=True)
class OneChannel(Generic[OpT]):
    """How channel k of a result is computed without the other channels.

    Attributes:
        from_same: From channel k of every input. Used where the operation's `channelwise` holds.
        from_whole: From the whole (first) input, otherwise. Its argument `apart` asks for a
            gradient that nothing is fused with, because its reader would recompute the fusion.
    """

    from_same: FromSame[OpT] | None = None
    from_whole: FromWhole[OpT] | None = None


@dataclass(frozen=True, kw_only=True)
class Rules(Generic[OpT]):
    """The answers of one operation to the passes over the graph.

    Attributes:
        flops: Floating-point operations forward, a multiplication and an addition being two;
            `no_products` for arithmetic on single numbers.
        bounds: Interval of each channel of the result; `no_bounds` and `same_bounds` are ready.
        one_channel: How one channel is computed alone; `SAME_CHANNEL` and `ALL_CHANNELS` are ready.
        stored: Whether the result counts as memory traffic, instead of being fused away.
        factors: The per-channel factors of an operation that multiplies and adds, if a
            convolution before it may take them over.
        scaled_kernel: The kernel that takes over the factors of the operation behind it.
        combines: Whether the result is a sum that several readers would each recompute.
        joins_input: Whether XLA fuses the operation with its input on a TPU.
    """

    flops: Flops[OpT]
    bounds: Bounds[OpT]
    one_channel: OneChannel[OpT]
    stored: bool = False
    factors: Factors[OpT] | None = None
    scaled_kernel: ScaledKernel[OpT] | None = None
    combines: bool = False
    joins_input: bool = False


@dataclass(frozen=True)
class Implementation:
    """One way to compute an operation.

    Attributes:
        compute: (operation, weights by role, inputs [batch, …, channels]) -> result.
        in_memory: Which ends lie in memory.
        rereads_gradient: Whether the gradient reads its cotangent several times, so that
            everything fused into the cotangent would be recomputed as often.
    """

    compute: Callable[..., jax.Array]
    in_memory: InMemory = FUSED
    rereads_gradient: bool = False


class Preference(NamedTuple):
    """Where a fast implementation is chosen, if no preference of a lower rank applies.

    Attributes:
        op: The operation.
        implementation: Name of the implementation.
        platforms: Platforms on which it is faster.
        rank: Order among the preferences of one operation; the lowest that applies wins.
        suits: (operation, shape of the first input) -> whether it is exact and faster there.
    """

    op: type[Op]
    implementation: str
    platforms: frozenset[str]
    rank: int
    suits: Callable[..., bool]


class NeighbourPreference(NamedTuple):
    """Where a fast implementation is chosen because of a node's neighbours.

    Attributes:
        op: The operation.
        implementation: Name of the implementation.
        platforms: Platforms on which it is faster.
        suits: (operation, `Surroundings`) -> whether it is exact and faster there.
    """

    op: type[Op]
    implementation: str
    platforms: frozenset[str]
    suits: Callable[..., bool]


class Surroundings(NamedTuple):
    """The neighbours of a node, as the rules of `prefer_beside` see them.

    Attributes:
        input_in_memory: The node before (but for a batch norm) writes its result to memory.
        result_is_read: At least one reader reads the node's result from memory.
    """

    input_in_memory: bool
    result_is_read: bool


RULES: dict[type[Op], Rules[Any]] = {}
IMPLEMENTATIONS: dict[type[Op], dict[str, Implementation]] = {}
PREPARE: dict[tuple[type[Op], str], Prepare] = {}
_PREFERENCES: list[Preference] = []
_BESIDE: list[NeighbourPreference] = []


def reference(
    op: type[OpT], rules: Rules[OpT], *, in_memory: InMemory = FUSED
) -> Callable[[ComputeT], ComputeT]:
    """Register a function as the reference implementation of an operation.

    Args:
        op: The operation's class.
        rules: The operation's answers to the passes over the graph.
        in_memory: Which ends of the reference implementation lie in memory.
    """
    RULES[op] = rules
    return implements(op, DIRECT, in_memory=in_memory)


def implements(
    op: type[Op],
    implementation: str,
    *,
    in_memory: InMemory = FUSED,
    rereads_gradient: bool = False,
) -> Callable[[ComputeT], ComputeT]:
    """Register a function as an implementation of an operation.

    Args:
        op: The operation's class.
        implementation: Name of the implementation, which an atlas's manifest keeps.
        in_memory: See `Implementation`.
        rereads_gradient: See `Implementation`.
    """

    def register(function: ComputeT) -> ComputeT:
        named = IMPLEMENTATIONS.setdefault(op, {})
        named[implementation] = Implementation(function, in_memory, rereads_gradient)
        return function

    return register


def prepares(op: type[Op], implementation: str) -> Callable[[PrepareT], PrepareT]:
    """Register the function that derives an implementation's weights once, before any step."""

    def register(function: PrepareT) -> PrepareT:
        PREPARE[op, implementation] = function
        return function

    return register


def prefer(
    op: type[Op], implementation: str, *, on: Iterable[str], rank: int
) -> Callable[[RuleT], RuleT]:
    """Register the rule (operation, shape of its first input) that chooses an implementation.

    Args:
        op: The operation's class.
        implementation: Name of the implementation.
        on: Platforms on which the rule is asked: `cpu`, `gpu`, `tpu`.
        rank: Order among the preferences of the operation; the lowest that applies wins.
    """

    def register(suits: RuleT) -> RuleT:
        _PREFERENCES.append(Preference(op, implementation, frozenset(on), rank, suits))
        return suits

    return register


def prefer_beside(
    op: type[Op], implementation: str, *, on: Iterable[str]
) -> Callable[[RuleT], RuleT]:
    """Register the rule (operation, `Surroundings`) that chooses an implementation by neighbours.

    Such an implementation replaces the one that `prefer` chose.
    """

    def register(suits: RuleT) -> RuleT:
        _BESIDE.append(NeighbourPreference(op, implementation, frozenset(on), suits))
        return suits

    return register


def preferences(platform: str | None = None) -> tuple[Preference, ...]:
    """The preferences of a platform (of every platform without one), in order of rank."""
    asked = (p for p in _PREFERENCES if platform is None or platform in p.platforms)
    return tuple(sorted(asked, key=lambda p: (p.op.__name__, p.rank)))


def neighbour_preferences() -> tuple[NeighbourPreference, ...]:
    """The preferences that depend on neighbours, in order of registration."""
    return tuple(_BESIDE)


def beside(op: Op, platform: str, around: Surroundings) -> str | None:
    """The implementation that an operation's neighbours make the better one, if there is one."""
    for preference in _BESIDE:
        if preference.op is type(op) and platform in preference.platforms:
            if preference.suits(op, around):
                return preference.implementation
    return None


def rules_of(op: Op) -> Rules[Any]:
    """The rules of an operation."""
    return RULES[type(op)]


def implemented(op: Op, implementation: str) -> bool:
    """Whether an operation has an implementation of that name."""
    return implementation in IMPLEMENTATIONS.get(type(op), {})


def implementation_of(op: Op, implementation: str | None) -> Implementation:
    """The implementation of that name; `direct` for None."""
    return IMPLEMENTATIONS[type(op)][implementation or DIRECT]


def compute(
    op: Op, weights: Weights, *inputs: jax.Array, implementation: str = DIRECT
) -> jax.Array:
    """The result of one operation, in the implementation of that name."""
    return IMPLEMENTATIONS[type(op)][implementation].compute(op, weights, *inputs)


def no_products(op: Op, inputs: Sequence[Shape], output: Shape) -> int:
    """`Flops` of arithmetic on single numbers: not counted, because XLA fuses it."""
    return 0


def no_bounds(
    op: Op, weights: Mapping[str, np.ndarray], inputs: Sequence[Interval]
) -> Interval | None:
    """`Bounds` of an operation without a known bound."""
    return None


def same_bounds(
    op: Op, weights: Mapping[str, np.ndarray], inputs: Sequence[Interval]
) -> Interval | None:
    """`Bounds` of an operation whose results lie among its input's values."""
    return inputs[0]


def take_channel(x: jax.Array, channel: jax.Array) -> jax.Array:
    """One channel of an array, its axis kept."""
    return lax.dynamic_slice_in_dim(x, channel, 1, axis=-1)


def _compute_sliced(
    op: Op, weights: Weights, channel: jax.Array, inputs: Sequence[jax.Array], implementation: str
) -> jax.Array:
    own = {role: take_channel(w, channel) for role, w in weights.items()}
    return compute(op, own, *inputs, implementation=implementation)


#: The chosen implementation, with every weight cut to the channel.
SAME_CHANNEL = OneChannel[Any](from_same=_compute_sliced)
#: One channel needs the whole result, because the operation mixes or moves channels.
ALL_CHANNELS = OneChannel[Any]()
