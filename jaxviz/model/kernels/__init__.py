"""Fast exact implementations of operations, one technique a file."""

from jaxviz.model.kernels import dilated, gelu, grouped, im2col, shift_add, widened, winograd

__all__ = ["dilated", "gelu", "grouped", "im2col", "shift_add", "widened", "winograd"]
