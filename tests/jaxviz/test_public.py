"""What `import jaxviz` offers: the names, that they load late, and that old names still work."""

import importlib
import subprocess
import sys

import pytest

import jaxviz
from jaxviz._util.renamed import MOVED, RENAMED

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


def test_the_old_name_of_activations_warns():
    with pytest.warns(DeprecationWarning, match="Activations"):
        old = jaxviz.objectives.Seen
    assert old is jaxviz.objectives.Activations


@pytest.fixture
def forgotten(monkeypatch):
    """No old name was imported before."""
    for old in RENAMED:
        monkeypatch.delitem(sys.modules, old, raising=False)


@pytest.mark.usefixtures("forgotten")
@pytest.mark.parametrize("old", RENAMED)
def test_the_old_name_of_a_module_warns_and_has_what_the_new_one_has(old):
    with pytest.warns(DeprecationWarning, match=RENAMED[old]):
        found = importlib.import_module(old)
    new = importlib.import_module(RENAMED[old])
    public = [name for name in vars(new) if not name.startswith("_")]
    assert public
    for name in public:
        if f"{old}.{name}" not in MOVED:
            assert getattr(found, name) is getattr(new, name)
    assert new.__spec__.name == RENAMED[old]
    with pytest.raises(AttributeError):
        _ = found.never_there


@pytest.mark.usefixtures("forgotten")
@pytest.mark.filterwarnings("ignore:jaxviz:DeprecationWarning")
@pytest.mark.parametrize("old", MOVED)
def test_names_that_went_elsewhere_are_found(old):
    module, _, name = old.rpartition(".")
    place, _, called = MOVED[old].rpartition(".")
    found = getattr(importlib.import_module(module), name)
    assert found is getattr(importlib.import_module(place), called)


@pytest.mark.usefixtures("forgotten")
def test_what_0_1_documented_is_still_there():
    with pytest.warns(DeprecationWarning, match="jaxviz"):
        from jaxviz.recipe import AtlasRecipe, read_recipes
    assert AtlasRecipe is jaxviz.AtlasRecipe
    assert read_recipes is jaxviz.read_recipes
