"""Recipes: what they mean, and where their mistakes are."""

import pytest

from jaxviz.errors import ConfigError, LayerError, RecipeError
from jaxviz.jobs.recipe import AtlasRecipe, read_recipes
from jaxviz.spec import InputRange
from jaxviz.spec.select import match_channels, match_layers
from tests.support.tiny import tiny_bundle

GOOD = """
[defaults]
preset = "keras-io"
size = 32

[[atlas]]
model = "a.bundle"
output = "a.atlas"

[[atlas]]
model = "b.bundle"
output = "b.atlas"
size = 64
layers = ["conv*", "*/pre_activation"]
optimizer = "adam:b1=0.8"
learning_rate = 0.05
"""


def write(tmp_path, text):
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    return path


def test_defaults_fill_in(tmp_path):
    one, two = read_recipes(write(tmp_path, GOOD))
    assert (one.size, two.size) == (32, 64)
    assert one.model == str(tmp_path / "a.bundle")
    optimizer = two.preset_used().optimizer
    assert optimizer.optimizer.name == "adam"
    assert optimizer.optimizer.arguments == {"b1": 0.8}
    assert optimizer.learning_rate == 0.05
    assert optimizer.gradient == "l2"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("size = 64", "sise = 64"), r"line 13: sise: there is no such key. Did you mean size"),
        (("size = 64", "size = -1"), r"line 13: size: .*greater than 0, found -1"),
        (("size = 32", 'size = "big"'), r"line 4: size: "),
        (('output = "b.atlas"\n', ""), r"line 10: output: is missing"),
        (('preset = "keras-io"', 'preset = "kerasio"'), r"no preset 'kerasio'. Did you mean"),
        (("adam:b1=0.8", "adamm"), r"line 10: Optax has no optimizer 'adamm'"),
        (("adam:b1=0.8", "adam:b9=1"), r"line 10: the optimizer 'adam' has no argument 'b9'"),
        (("[defaults]", "[default]"), r"line 2: there is no table 'default'"),
        (('"b.atlas"', '"a.atlas"'), r"line 12: output: another atlas has this folder"),
        (("size = 64", "size = = 64"), r"not valid TOML.*line 13"),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path, change, message):
    path = write(tmp_path, GOOD.replace(*change))
    with pytest.raises(RecipeError, match=message) as error:
        read_recipes(path)
    assert "recipe.toml" in str(error.value)


def test_lines_are_those_of_the_table_also_after_a_mistake(tmp_path):
    third = '\n[[atlas]]\nmodel = "c.bundle"\noutput = "b.atlas"\n'
    path = write(tmp_path, GOOD.replace('model = "a.bundle"\n', "") + third)
    with pytest.raises(RecipeError) as error:
        read_recipes(path)
    assert error.value.details == (
        "line 6: model: is missing from this [[atlas]]",
        "line 19: output: another atlas has this folder",
    )


@pytest.mark.parametrize("text", ["atlas = 3", "atlas = [1]", "", "defaults = 3\n[[atlas]]"])
def test_a_file_without_tables_of_atlases(tmp_path, text):
    with pytest.raises(RecipeError, match=r"there is no \[\[atlas\]\] table"):
        read_recipes(write(tmp_path, text))


def test_a_missing_file(tmp_path):
    with pytest.raises(RecipeError, match=r"nowhere\.toml.*No such file"):
        read_recipes(tmp_path / "nowhere.toml")


def test_layers_by_glob():
    spec = tiny_bundle().spec
    assert match_layers(spec, []) == ("conv1", "conv2")
    assert match_layers(spec, ["*1"]) == ("conv1", "pool1")
    assert match_layers(spec, ["*/pre_activation"]) == (
        "conv1/pre_activation",
        "conv2/pre_activation",
    )
    with pytest.raises(LayerError, match=r"'conw2' matches no layer. Did you mean conv2"):
        match_layers(spec, ["conv1", "conw2"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, range(8)),
        ("2:5", range(2, 5)),
        (":3", range(3)),
        ("6:", range(6, 8)),
        ("4", [4]),
        ("5:16", range(5, 8)),
    ],
)
def test_channel_ranges(text, expected):
    assert match_channels(text, 8, "conv1") == tuple(expected)


@pytest.mark.parametrize("text", ["a:b", "", "1:2:3", "-1:4", "1.5"])
def test_no_channel_range(text):
    with pytest.raises(ConfigError, match=r"Expected A:B"):
        match_channels(text, 8, "conv1")


@pytest.mark.parametrize("text", ["8", "9:12", "4:4", "8:"])
def test_channels_that_do_not_exist(text):
    with pytest.raises(LayerError, match="It has 8 channels, 0:8"):
        match_channels(text, 8, "conv1")


def test_the_range_asked_for_wins():
    own = InputRange(low=(0.0,), high=(1.0,))
    spec = tiny_bundle(range_=own).spec
    recipe = {"model": "m", "output": "o"}
    assert AtlasRecipe(**recipe).range_used(spec) == own
    assert AtlasRecipe(**recipe, range="0:255").range_used(spec).high == (255.0,)
    assert AtlasRecipe(**recipe, preprocess="caffe").range_used(spec).order == "bgr"
    with pytest.raises(ConfigError, match="not both"):
        AtlasRecipe(**recipe, range="0:1", preprocess="tf").range_used(spec)
    for text in ("0", "1:0", "a:b", "0:inf"):
        with pytest.raises(ConfigError, match="not a range"):
            AtlasRecipe(**recipe, range=text).range_used(spec)
