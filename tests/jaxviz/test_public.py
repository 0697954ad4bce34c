"""What `import jaxviz` offers: the names, that they load late, and that old names still work."""

import importlib
import subprocess
import sys

import pytest

import jaxviz
from jaxviz._util.renamed import RENAMED

PUBLIC = {
    "PRESETS", "AtlasRecipe", "JaxvizError", "Model", "Preset", "RenderResult", "__version__",
    "errors", "example", "figures", "load", "load_bundle", "make_atlas", "objectives",
    "open_atlas", "parameterizations", "presets", "read_recipes", "render", "transforms",
}  # fmt: skip


def test_these_names_are_public():
    assert set(jaxviz.__all__) == PUBLIC
    assert set(dir(jaxviz)) == PUBLIC
    for name in PUBLIC:
        assert getattr(jaxviz, name) is not None


def test_importing_loads_no_jax():
    script = "import sys, jaxviz; dir(jaxviz); print({'jax', 'numpy', 'flax'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert out.stdout == "set()\n"


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'rendr'"):
        _ = jaxviz.rendr


def test_the_old_name_of_a_result_warns():
    with pytest.warns(DeprecationWarning, match="RenderResult"):
        old = jaxviz.Render
    assert old is jaxviz.RenderResult


@pytest.mark.parametrize("old", RENAMED)
def test_the_old_name_of_a_module_warns_and_is_the_same_module(old, monkeypatch):
    monkeypatch.delitem(sys.modules, old, raising=False)
    with pytest.warns(DeprecationWarning, match=RENAMED[old]):
        found = importlib.import_module(old)
    assert found is importlib.import_module(RENAMED[old])
    assert found.__name__ == found.__spec__.name == RENAMED[old]


def test_what_0_1_documented_is_still_there(monkeypatch):
    monkeypatch.delitem(sys.modules, "jaxviz.recipe", raising=False)
    with pytest.warns(DeprecationWarning, match="jaxviz"):
        from jaxviz.recipe import AtlasRecipe, read_recipes
    assert AtlasRecipe is jaxviz.AtlasRecipe
    assert read_recipes is jaxviz.read_recipes
