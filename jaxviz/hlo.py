"""What is in a compiled program, read from its text: for compilers that do not count themselves."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?([\w.-]+) = (\(.*?\)|\S+) ([\w-]+)\((.*)$")
_SHAPE = re.compile(r"\b(pred|[a-z]+\d+\w*)\[([\d,]*)\]")
_COLLECTIVE = re.compile(
    r"\b(all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter)(-start)?\("
)
#: Instructions that neither read nor write memory themselves.
_FREE = frozenset(
    {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "while", "after-all"}
)


class Instruction(NamedTuple):
    """One step of a program, such as a fusion or a library call.

    Attributes:
        name: Of its result.
        kind: The result's type, such as `f32[8,3]{1,0}`, or several in brackets.
        operation: Such as `fusion` or `custom-call`.
        rest: Operands and attributes as they stand.
    """

    name: str
    kind: str
    operation: str
    rest: str


def instructions(program: str) -> Iterator[Instruction]:
    """What a program runs one after the other; a loop's body once, nothing within a fusion.

    Args:
        program: The optimised program as text.
    """
    bodies = set(re.findall(r"body=%?([\w.-]+)", program))
    inside = False
    for line in program.splitlines():
        if line.endswith("{") and not line.startswith(" "):
            name = line.removeprefix("ENTRY ").lstrip("%").split(" ")[0]
            inside = line.startswith("ENTRY") or name in bodies
        found = _INSTRUCTION.match(line) if inside else None
        if found is not None and found[3] not in _FREE:
            yield Instruction(*found.groups())


def moved_bytes(program: str) -> float:
    """Bytes that a program's instructions read and write.

    What the compiler's own cost analysis says, for where there is none: every instruction
    reads its operands and writes its result.

    Args:
        program: The optimised program as text.

    Example:
        >>> moved_bytes(chr(10).join(["ENTRY %main {", "  %a = f32[4]{0} parameter(0)",
        ...     "  ROOT %b = bf16[4]{0} convert(%a)", "}"]))
        24.0
    """
    sizes = {
        found[1]: _size(found[2])
        for found in map(_INSTRUCTION.match, program.splitlines())
        if found
    }
    total = 0.0
    for one in instructions(program):
        operands = re.findall(r"%([\w.-]+)", one.rest.split(")")[0])
        total += sizes[one.name] + sum(sizes.get(name, 0.0) for name in operands)
    return total


def library_calls(program: str) -> Counter[str]:
    """How often each routine of a library is called."""
    targets = (
        re.search(r'custom_call_target="([^"]+)"', one.rest)
        for one in instructions(program)
        if one.operation == "custom-call"
    )
    return Counter(target[1] for target in targets if target)


def kernels(program: str) -> int:
    """How many kernels of the compiler's own a program runs."""
    return sum(one.operation not in ("custom-call", "copy") for one in instructions(program))


def own_convolutions(program: str) -> int:
    """Convolutions that no library computes, wherever they are."""
    return len(re.findall(r"= \S+ convolution\(", program))


def collectives(program: str) -> int:
    """How often devices exchange something."""
    return len(_COLLECTIVE.findall(program))


def _size(kind: str) -> float:
    """Bytes of a type such as `(f32[8,3]{1,0}, u8[0]{0})`."""
    total = 0.0
    for name, sizes in _SHAPE.findall(kind):
        bits = 8 if name == "pred" else int(re.findall(r"\d+", name)[0])
        total += bits / 8 * math.prod(int(n) for n in sizes.split(",") if n)
    return total
