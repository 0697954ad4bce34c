"""The nodes of a spec under construction, with the names and results so far."""

from __future__ import annotations

from dataclasses import dataclass, field

from converters.layers.call import LayerCall
from converters.layers.value import Value
from jaxviz.spec import Identity, Node


@dataclass
class Graph:
    """A graph that grows by one layer at a time.

    Attributes:
        nodes: The nodes so far, each after those that it reads from.
        values: Results of nodes and inputs, by name.
        taken: Every name in use.
    """

    nodes: list[Node] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)

    def free(self, name: str) -> str:
        """A name that is not in use: the given one, with `~` at the end if necessary."""
        while name in self.taken:
            name += "~"
        return name

    def add(self, value: Value) -> Value:
        """Add a result under its name."""
        self.taken.add(value.name)
        self.values[value.name] = value
        return value

    def poison(self, name: str) -> Value:
        """Add a value of unknown shape in place of a result; later layers are still checked."""
        return self.add(Value(name, None, ()))

    def alias(self, value: Value, name: str) -> Value:
        """Give a result one more name, if its shape is known."""
        if value.known is None:
            return value
        base = self.free(name)
        self.nodes.append(Node(name=base, op=Identity(), inputs=(value.name,), layer=base))
        return self.add(Value(base, value.known, value.axes))

    def extend(self, call: LayerCall) -> None:
        """Add everything that a layer has emitted."""
        self.nodes += call.nodes
        self.taken |= call.taken
        self.values |= call.values
