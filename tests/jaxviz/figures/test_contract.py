"""What every figure has: a place in `jaxviz.figures`, the arguments of a look, and a docstring."""

import importlib
import inspect
import pkgutil

import pytest
from matplotlib.figure import Figure

import jaxviz
from jaxviz import figures
from jaxviz.errors import ConfigError
from jaxviz.spec import InputRange

SMALL = {
    "model": lambda: jaxviz.load(jaxviz.example("galaxy_cnn.keras")),
    "images": lambda: [jaxviz.example("galaxies/spiral_1.png")],
    "range_": lambda: InputRange(low=(0.0,), high=(1.0,)),
}


def all_figures():
    """The public functions in the package whose result is a figure and that take a theme."""
    for module in pkgutil.iter_modules(figures.__path__, "jaxviz.figures."):
        for name, function in vars(importlib.import_module(module.name)).items():
            if inspect.isfunction(function) and function.__module__ == module.name:
                parameters = inspect.signature(function).parameters
                returns = function.__annotations__.get("return")
                kind = inspect.Parameter.KEYWORD_ONLY
                themed = "theme" in parameters and parameters["theme"].kind == kind
                if not name.startswith("_") and returns == "Figure" and themed:
                    yield function


FIGURES = list(all_figures())


def test_every_figure_is_in_the_package():
    missing = [f.__name__ for f in FIGURES if f.__name__ not in figures.__all__]
    assert not missing, f"import these in jaxviz/figures/__init__.py: {missing}"
    assert len(FIGURES) >= 7


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.__name__)
def test_a_figure_is_explained_and_draws_into_an_axes(figure):
    for section in ("Args:", "Raises:", "Example:"):
        assert section in figure.__doc__
    parameters = inspect.signature(figure).parameters
    given = {name: make() for name, make in SMALL.items() if name in parameters}
    page = Figure(figsize=(8, 4))
    axes = page.subplots(1, 2)
    assert figure(**given, ax=axes[0]) is page
    assert axes[0].texts
    assert not axes[1].texts
    with pytest.raises(ConfigError, match="There are: light, dark"):
        figure(**given, theme="sepia")
