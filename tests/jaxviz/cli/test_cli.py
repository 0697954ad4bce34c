"""What a user types: results on standard output, one clear message for every mistake."""

import json
import pkgutil
import re
import subprocess
import sys

import numpy as np
import pytest

from jaxviz.bundle import store as bundles
from jaxviz.cli import cli, commands
from tests.support.tiny import tiny_bundle


@pytest.fixture
def model(tmp_path):
    return str(bundles.save(tiny_bundle(), tmp_path / "tiny.bundle"))


FAST = ("--preset", "keras-io", "--size", "16", "--steps", "1")


def test_every_command_and_option_is_explained():
    for command in cli.commands.values():
        assert command.help, command.name
        for parameter in command.params:
            if parameter.param_type_name == "option":
                assert parameter.help, (command.name, parameter.name)


def test_atlas_prints_where_the_result_is(run, model, tmp_path):
    code, out, err = run("atlas", model, "-o", tmp_path / "a.atlas", *FAST, "--layers", "conv1")
    assert code == 0
    paths = out.splitlines()
    assert paths[0].endswith("index.html")
    assert paths[1].endswith("conv1.png")
    assert "input range" in err


def test_atlas_json_has_a_line_per_layer(run, model, tmp_path):
    code, out, _ = run("atlas", model, "-o", tmp_path / "a.atlas", *FAST, "--json")
    assert code == 0
    rows = [json.loads(line) for line in out.splitlines()]
    assert [(row["layer"], row["units"]) for row in rows] == [("conv1", 6), ("conv2", 10)]


def test_summary_of_an_atlas(run, model, tmp_path):
    path = tmp_path / "a.atlas"
    code, _, err = run("atlas", model, "-o", path, *FAST)
    assert code == 0
    assert re.search(r"conv2 +10 .*\n", err)  # the table at the end of the run
    code, out, _ = run("summary", path, "--json")
    rows = json.loads(out)
    assert [(row["layer"], row["units"]) for row in rows] == [("conv1", 6), ("conv2", 10)]
    from jaxviz import open_atlas

    layer = open_atlas(path)["conv2"]
    alive = np.isin(layer.status, (1, 4))
    assert rows[1]["done"] == (layer.status == 1).sum()
    for name in ("score", "gain", "quantile", "selectivity", "robustness"):
        known = layer.values(name)[alive]
        found = rows[1]["measures"][name]
        np.testing.assert_allclose(found["median"], np.nanmedian(known), rtol=1e-4)
        assert found["units"] == np.isfinite(known).sum()
    code, out, _ = run("summary", path)
    assert code == 0
    assert "Selectivity" in out


def test_objectives_are_listed(run):
    code, out, _ = run("objectives")
    assert code == 0
    assert "neuron(position" in out


def test_convert_layers_and_back(run, model):
    code, out, _ = run("layers", model, "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert code == 0
    assert rows["conv2"]["shape"] == [8, 8, 10]
    assert rows["conv2"]["receptive_field"] == [8, 8]
    assert rows["conv2/pre_activation"]["parameters"] == 3 * 3 * 6 * 10 + 10
    code, out, _ = run("layers", model)
    assert code == 0
    assert "2 of them convolutions, 802 parameters" in out


def test_recipe_and_dry_run(run, model, tmp_path):
    recipe = tmp_path / "r.toml"
    table = f'[[atlas]]\nmodel = "{model}"\npreset = "keras-io"\nsize = 16\nsteps = 1\n'
    recipe.write_text(
        table + 'output = "a.atlas"\n' + table + 'output = "b.atlas"\nlayers = ["conv2"]\n'
    )
    code, out, _ = run("run", recipe, "--dry-run")
    assert code == 0
    assert "16 pictures of 2 layers" in out
    assert not (tmp_path / "a.atlas").exists()
    code, out, _ = run("run", recipe, "--json")
    assert code == 0
    assert [json.loads(line)["layer"] for line in out.splitlines()] == ["conv1", "conv2", "conv2"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["atlas", "nowhere.keras"], 1, "there is no file 'nowhere.keras'"),
        (["atlas", "{text}"], 1, "neither a bundle nor a known model file"),
        (["atlas", "{model}", "--layers", "convv1"], 1, r"Did you mean conv1"),
        (["atlas", "{model}", "--channels", "6:9"], 1, r"It has 6 channels, 0:6"),
        (["atlas", "{model}", "--channels", "x"], 1, r"Expected A:B"),
        (["atlas", "{model}", "--size", "1"], 1, r"least size that works is 2"),
        (["atlas", "{model}", "--size", "0"], 2, r"--size"),
        (["atlas", "{model}", "--preset", "keras"], 1, r"no preset 'keras'"),
        (["atlas", "{model}", "--optimizer", "adm"], 1, r"no optimizer 'adm'"),
        (["atlas", "{model}", "--learning-rate", "-1"], 2, r"--learning-rate: .*greater than 0"),
        (["atlas", "{model}", "--schedule", "cosine_decay_schedule"], 1, r"decay_steps"),
        (["atlas", "{model}", "--range", "1:0"], 1, r"Expected LOW:HIGH"),
        (["atlas", "{model}", "--preprocess", "vgg"], 1, r"There are: tf, torch"),
        (["atlas", "{model}", "-o", "{text}"], 1, r"text"),
        (["atlas", "{model}", "-o", "/proc/no.atlas"], 1, r"/proc/no\.atlas"),
        (["atlas", "{model}", "--objective", "chanel"], 1, r"Did you mean channel"),
        (["atlas", "{model}", "--objective", "diversity"], 1, r"--replicates"),
        (["atlas", "{model}", "--position", "99,1"], 1, r"no position 99, 1[\s\S]*Its map is"),
        (["atlas", "{model}", "--direction", "no.npy"], 1, r"no file 'no\.npy'"),
        (["atlas", "{model}", "--direction", "{text}"], 1, r"is not a NumPy array"),
        (["atlas", "{model}", "--direction", "a", "--position", "1,1"], 2, r"give one of"),
        (["atlas", "{model}", "--clip", "clipp"], 1, r"Did you mean clip"),
        (
            ["atlas", "{model}", "--preset", "maco", "--set", "parameterization.spectrum=null"],
            1,
            r"need a spectrum[\s\S]*--images",
        ),
        (
            ["atlas", "{model}", "--set", 'transforms=[{{"kind":"blur","low":1,"high":99}}]'],
            1,
            r"blur of 99 pixels is too wide[\s\S]*at most 32",
        ),
        (["atlas", "{model}", "--set", 'transforms=[{{"kind":"blurr"}}]'], 1, r"'blur'"),
        (["atlas", "{model}", "--images", "{text}"], 1, r"no folder"),
        (["summary", "{text}"], 1, r"not an atlas"),
        (["atlas"], 2, "Missing argument 'MODEL'"),
        (["atlass"], 2, "No such command 'atlass'"),
        (["layers", "{text}"], 1, "neither a bundle nor a known model file"),
        (["run", "nowhere.toml"], 1, r"cannot read 'nowhere\.toml'"),
        (["verify", "{text}"], 1, "is not a bundle"),
    ],
)
def test_mistakes(run, model, tmp_path, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    text = tmp_path / "text"
    text.write_text("not a model")
    filled = [a.format(model=model, text=text) for a in arguments]
    found, out, err = run(*filled)
    assert found == code, err
    assert out == ""
    assert re.search(message, err), err
    assert text.read_text() == "not a model"
    assert not (tmp_path / "tiny.atlas").exists()


def test_every_module_is_a_command_of_its_name():
    modules = [module.name for module in pkgutil.iter_modules(commands.__path__)]
    assert list(cli.commands) == sorted(name.replace("_", "-") for name in modules)


def test_help_does_not_import_jax():
    code = "import sys, jaxviz.cli.main; sys.exit('jax' in sys.modules or 'numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
