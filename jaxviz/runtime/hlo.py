"""Compiled programs read as text: their instructions, the bytes they move, their library calls.

For compilers whose own cost analysis is missing, or counts a loop once.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import jax

# A type in brackets may hold other types, and layouts with brackets of their own.
_NESTED = r"\((?:[^()]|\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))*\)"
_INSTRUCTION = re.compile(rf"^\s+(?:ROOT )?%?([\w.-]+) = ({_NESTED}|\S+) ([\w-]+)\((.*)$")
_SHAPE = re.compile(r"\b(pred|[a-z]+\d+\w*)\[([\d,]*)\]")
_COLLECTIVE = re.compile(
    r"\b(all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter)(-start)?\("
)
# A type with the order of its axes and its tiles in a TPU's memory.
_LAYOUT = re.compile(r"\b(pred|[a-z]+\d+\w*)\[([\d,]*)\](?:\{([\d,]*)(?::([^}]*))?\})?")
_TILE = re.compile(r"T\((\d+),(\d+)\)")
_BODY = re.compile(r"\b(?:body|to_apply)=%?([\w.-]+)")
_CALLS = re.compile(r"\bcalls=%?([\w.-]+)")
_COUNT = re.compile(r'"known_trip_count":\{"n":"(\d+)"')
_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')
# A copy into VMEM or out of it is two instructions, its start and its end.
_STARTS, _DONE = frozenset({"copy-start", "slice-start"}), frozenset({"copy-done", "slice-done"})
# Share of the bytes that loops may move in excess of the compiler's count.
_LITTLE = 0.02
# Instructions that move no bytes.
_FREE = frozenset({"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all"})


class Instruction(NamedTuple):
    """One step of a program, such as a fusion or a library call.

    Attributes:
        name: Name of its result.
        kind: Type of the result, such as `f32[8,3]{1,0}`, or several types in brackets.
        operation: Such as `fusion` or `custom-call`.
        rest: Operands and attributes, as text.
        times: How often it runs, where the compiler knows; 1 otherwise.
    """

    name: str
    kind: str
    operation: str
    rest: str
    times: int = 1


def instructions(program: str) -> Iterator[Instruction]:
    """The instructions of a program in order; those inside a fusion are left out.

    Args:
        program: The optimised program as text.
    """
    computations = dict(_computations(program))
    entry = next(name for name in reversed(computations) if name.startswith("ENTRY "))
    yield from _run(computations, entry, 1)


def _run(
    computations: dict[str, list[Instruction]], name: str, times: int
) -> Iterator[Instruction]:
    for one in computations[name]:
        if one.operation in ("while", "call"):
            count, body = _COUNT.search(one.rest), _BODY.findall(one.rest)[0]
            yield from _run(computations, body, times * int(count[1] if count else 1))
        elif one.operation not in _FREE:
            yield one._replace(times=times)


def _computations(program: str) -> Iterator[tuple[str, list[Instruction]]]:
    """(name, instructions) of a program's functions; the entry's name begins with `ENTRY `."""
    name, found = "", list[Instruction]()
    for line in program.splitlines():
        if line.endswith("{") and not line.startswith(" "):
            keyword = "ENTRY " if line.startswith("ENTRY ") else ""
            name = keyword + line.removeprefix("ENTRY ").lstrip("%").split(" ")[0]
            found = []
        elif line.startswith("}"):
            yield name, found
        elif (match := _INSTRUCTION.match(line)) is not None:
            found.append(Instruction(match[1], match[2], match[3], match[4]))


def moved_bytes(program: str) -> float:
    """Bytes that a program reads and writes, counted from its text.

    Every instruction reads its operands, or its slices of them, and writes its result, or its
    update of it. A loop's bytes count once for every iteration.

    Args:
        program: The optimised program as text.

    Example:
        >>> moved_bytes(chr(10).join(["ENTRY %main {", "  %a = f32[4]{0} parameter(0)",
        ...     "  ROOT %b = bf16[4]{0} convert(%a)", "}"]))
        24.0
    """
    return sum(one.times * size for one, size in _touched(program))


def full_cost(program: jax.stages.Compiled) -> dict[str, float] | None:
    """The compiler's own cost analysis; None where it is missing or counts a loop once.

    Loops of up to 2 % of the bytes are tolerated, such as those for random numbers.

    Args:
        program: A compiled program.

    Example:
        >>> import jax
        >>> def looped(x):
        ...     return jax.lax.map(jax.numpy.sin, x)
        >>> full_cost(jax.jit(looped).lower(jax.numpy.ones((50, 4))).compile()) is None
        True
    """
    counted = program.cost_analysis()
    touched = list(_touched(program.as_text() or "")) if counted else []
    again = sum((one.times - 1) * size for one, size in touched)
    return counted if again <= _LITTLE * sum(size for _, size in touched) else None


def accessed_bytes(program: jax.stages.Compiled) -> float:
    """Bytes that a program reads and writes: the compiler's count, or else `moved_bytes`.

    Args:
        program: A compiled program.
    """
    counted = full_cost(program)
    return counted["bytes accessed"] if counted else moved_bytes(program.as_text() or "")


def _touched(program: str) -> Iterator[tuple[Instruction, float]]:
    """(instruction, bytes that one run of it reads and writes) of a program."""
    computations = dict(_computations(program))
    sizes = {one.name: _size(one.kind) for some in computations.values() for one in some}
    for one in instructions(program):
        operands = [sizes.get(name, 0.0) for name in _operands(one)]
        written = sizes[one.name]
        fused = _CALLS.findall(one.rest) if one.operation == "fusion" else []
        for inner in computations[fused[0]] if fused else []:
            if inner.operation != "parameter":
                continue
            place = int(inner.rest.split(")")[0])
            users = [user for user in computations[fused[0]] if inner.name in _operands(user)]
            if users and all(user.operation == "dynamic-slice" for user in users):
                operands[place] = sum(sizes[user.name] for user in users)
            elif [user.operation for user in users] == ["dynamic-update-slice"]:
                target, update, *_ = _operands(users[0])
                if target == inner.name:  # in place
                    operands[place], written = 0.0, sizes[update]
        yield one, written + sum(operands)


def _operands(one: Instruction) -> list[str]:
    return re.findall(r"%([\w.-]+)", one.rest.split(")")[0])


class Traffic(NamedTuple):
    """Bytes that one instruction of a TPU's program reads and writes, with padding.

    Attributes:
        instruction: The instruction.
        counted: Bytes by the rules of the compiler's cost analysis: all operands and results,
            in VMEM (`S(1)` in the text) or HBM. A copy between the two counts four times, a
            copy in slices once, and joining the slices twice.
        outside: Bytes read from and written to HBM.
    """

    instruction: Instruction
    counted: float
    outside: float

    @property
    def copies(self) -> bool:
        """Whether the instruction only copies between HBM and VMEM."""
        whole = "ConcatBitcast" in self.instruction.rest  # joins slices that were copied
        return self.instruction.operation in _STARTS or whole


def traffic(program: str) -> Iterator[Traffic]:
    """The traffic of a TPU's program, instruction by instruction.

    Args:
        program: The optimised program as text.
    """
    found = filter(None, map(_INSTRUCTION.match, program.splitlines()))
    kinds = {one[1]: one[2] for one in found}
    for one in instructions(program):
        if one.operation in _DONE:
            continue
        if one.operation in _STARTS:  # (from, to, …) or ((from), to, …)
            ends = _padded(one.kind)[:2]
            size = min(size for size, _ in ends)
            times = 4 if one.operation == "copy-start" else 1
            yield Traffic(one, times * size, size * sum(outside for _, outside in ends))
            continue
        names = re.findall(r"%([\w.-]+)", one.rest.split("), ")[0])
        arrays = [array for name in (*names, one.name) for array in _padded(kinds.get(name, ""))]
        off = sum(size for size, outside in arrays if outside)
        yield Traffic(one, sum(size for size, _ in arrays), off)


def memory_bytes(program: str) -> float:
    """Bytes that a TPU's program reads from HBM and writes to it, with padding.

    Args:
        program: The optimised program as text.

    Example:
        >>> memory_bytes(chr(10).join(["ENTRY %main {",
        ...     "  %a = f32[16,3]{1,0:T(8,128)} parameter(0)",
        ...     "  ROOT %b = bf16[16,3]{1,0:T(8,128)(2,1)S(1)} convert(%a)", "}"]))
        8192.0
    """
    return sum(one.outside for one in traffic(program))


def estimated_cycles(program: str) -> int:
    """Cycles of a program by the estimates of a TPU's compiler, for instructions that have one.

    Args:
        program: The optimised program as text.

    Example:
        >>> estimated_cycles(chr(10).join(["ENTRY %main {", "  %a = f32[4]{0} parameter(0)",
        ...     '  ROOT %b = f32[4]{0} negate(%a), backend_config={"estimated_cycles":"17"}', "}"]))
        17
    """
    found = ((one.times, _CYCLES.search(one.rest)) for one in instructions(program))
    return sum(times * int(match[1]) for times, match in found if match)


def _padded(kind: str) -> list[tuple[float, bool]]:
    """(bytes padded to whole tiles, whether it is in HBM) of every array of a type."""
    found = []
    for name, shape, order, layout in _LAYOUT.findall(kind):
        sizes = [int(n) for n in shape.split(",") if n]
        axes = [int(n) for n in order.split(",") if n]
        tile = _TILE.search(layout)
        if tile and len(axes) > 1:
            for axis, step in ((axes[0], int(tile[2])), (axes[1], int(tile[1]))):
                sizes[axis] = -(-sizes[axis] // step) * step
        bits = 8 if name == "pred" else int(re.findall(r"\d+", name)[0])
        found.append((bits / 8 * math.prod(sizes), "S(1)" not in layout))
    return found


def library_calls(program: str) -> Counter[str]:
    """{library routine: number of calls}."""
    targets = (
        re.search(r'custom_call_target="([^"]+)"', one.rest)
        for one in instructions(program)
        if one.operation == "custom-call"
    )
    return Counter(target[1] for target in targets if target)


def kernels(program: str) -> int:
    """Number of instructions that XLA compiles itself: neither copies nor library calls."""
    return sum(one.operation not in ("custom-call", "copy") for one in instructions(program))


def own_convolutions(program: str) -> int:
    """Number of convolutions that no library computes, inside fusions too."""
    return len(re.findall(r"= \S+ convolution\(", program))


def collectives(program: str) -> int:
    """Number of exchanges between devices."""
    return len(_COLLECTIVE.findall(program))


def _size(kind: str) -> float:
    """Bytes of a type such as `(f32[8,3]{1,0}, u8[0]{0})`."""
    total = 0.0
    for name, sizes in _SHAPE.findall(kind):
        bits = 8 if name == "pred" else int(re.findall(r"\d+", name)[0])
        total += bits / 8 * math.prod(int(n) for n in sizes.split(",") if n)
    return total
