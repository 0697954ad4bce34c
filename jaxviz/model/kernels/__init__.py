"""Fast exact implementations of operations, one technique a file; see README.md."""

from jaxviz._util.parts import modules_of

modules_of(__name__, besides=("__main__",))
