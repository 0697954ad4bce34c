"""The drawing commands: a file where it was asked for, its path printed, clear errors."""

import json
import re

import numpy as np
import pytest
from PIL import Image

import jaxviz
from jaxviz.bundle import store as bundles
from jaxviz.spec import InputRange
from tests.support.tiny import tiny_bundle

GALAXY = str(jaxviz.example("galaxy_cnn.keras"))
SPIRAL = str(jaxviz.example("galaxies/spiral_1.png"))


@pytest.fixture
def model(tmp_path):
    range_ = InputRange(low=(0.0,), high=(1.0,))
    return str(bundles.save(tiny_bundle(range_=range_), tmp_path / "tiny.bundle"))


@pytest.fixture
def image(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "cat.png")
    return str(tmp_path / "cat.png")


@pytest.mark.parametrize(
    "arguments",
    [
        ("maps", "{model}", "{image}", "{image}", "--labels", "a,b,c,d", "--theme", "dark"),
        ("maps", "{model}", "{image}", "--channels", "conv1=1,2", "--normalise", "map"),
        ("maps", "{model}", "{image}", "--channels", "1,2", "--layers", "conv*", "--maps", "3"),
        ("activations", "{model}", "{image}", "--layers", "conv1"),
        ("activations", "{model}", "{image}", "--swap", "--labels", "a,b,c,d"),
        ("pooling", "{model}", "{image}"),
        ("pooling", "--example", "--values", "1 2 3; 4 5 6; 7 8 9", "--stride", "1"),
        ("weights", "{model}", "--before", "{model}", "--view", "norms"),
        ("convolution", "--kernel", "sharpen", "--padding", "same", "--step", "2"),
    ],
)
@pytest.mark.parametrize("ending", [".png", ".pdf"])
def test_every_figure(run, model, image, tmp_path, arguments, ending):
    filled = [a.format(model=model, image=image) for a in arguments]
    file = tmp_path / f"figure{ending}"
    code, out, err = run(*filled, "-o", file)
    assert code == 0, err
    assert out == f"{file}\n"
    start = file.read_bytes()[:8]
    assert start.startswith(b"%PDF" if ending == ".pdf" else b"\x89PNG")
    if ending == ".png":
        with Image.open(file) as picture:
            assert len(picture.convert("L").getcolors()) > 10
    if arguments[0] != "convolution" and "{image}" in arguments:
        assert "Images were cut to the network's proportions" in err


def test_an_animation(run, tmp_path):
    code, out, _ = run("convolution", "-o", tmp_path / "a.gif", "--image", "1 2; 3 4; 5 6",
                       "--kernel", "1 1", "--dpi", "50")  # fmt: skip
    assert code == 0
    with Image.open(out.strip()) as picture:
        assert picture.n_frames == 3


def test_the_bundled_galaxy_is_a_spiral(run, tmp_path):
    labels = jaxviz.example("galaxy_cnn.json")
    code, out, err = run("maps", GALAXY, SPIRAL, "-o", tmp_path / "a.png", "--labels", labels,
                         "--range", "0:1", "--json", "--layers", "conv1")  # fmt: skip
    assert code == 0, err
    (row,) = json.loads(out)["images"]
    assert row["label"] == "spiral"
    assert sum(row["output"]) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("ending", [".npz", ".zarr"])
def test_arrays(run, model, image, tmp_path, ending):
    file = tmp_path / f"a{ending}"
    code, out, err = run("maps", model, image, image, "-o", file, "--layers", "*/pre_activation",
                         "--layers", "mean", "--json")  # fmt: skip
    assert code == 0, err
    keys = json.loads(out)["layers"]
    assert keys == {
        "conv1%2fpre_activation": "conv1/pre_activation",
        "conv2%2fpre_activation": "conv2/pre_activation",
        "mean": "mean",
    }
    if ending == ".npz":
        stored = np.load(file)
        assert stored["conv1%2fpre_activation"].shape == (2, 16, 16, 6)
        assert stored["images"].tolist() == ["cat", "cat"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["maps", "{model}", "{text}", "-o", "a.png"], 1, "is not an image"),
        (["maps", "{model}", "nowhere.png", "-o", "a.png"], 1, "no image 'nowhere.png'"),
        (["maps", "{model}", "{image}", "-o", "a.jpg"], 1, "End it in .png, .svg, .pdf, .npz"),
        (["maps", "{model}", "{image}", "-o", "no/a.png"], 1, "there is no folder 'no'"),
        (["maps", "{model}", "{image}", "-o", "a.png", "--layers", "mean"], 1, "no maps of height"),
        (["maps", "{model}", "{image}", "-o", "a.png", "--layers", "conv3"], 1, "Did you mean"),
        (["maps", "{model}", "{image}", "-o", "a.png", "--labels", "a,b"], 1, "has 4 classes"),
        (
            ["maps", "{model}", "{image}", "-o", "a.png", "--labels", "a.txt"],
            1,
            "no file of labels",
        ),
        (["maps", "{model}", "{image}", "-o", "a.png", "--channels", "x"], 1, "0,3,7"),
        (["maps", "{model}", "{image}", "-o", "a.png", "--channels", "77"], 1, "has 6 channels"),
        (["maps", "{model}", "{image}", "-o", "a.png", "--range", "1:0"], 1, "Expected LOW:HIGH"),
        (["maps", "{model}", "{image}", "-o", "a.png", "--colormap", "x"], 1, "no colour map"),
        (["maps", "{model}", "-o", "a.png"], 2, "Missing argument 'IMAGES"),
        (["activations", "{model}", "{image}", "{image}", "--swap", "-o", "a.png"], 1, "one image"),
        (["pooling", "{model}", "{image}", "-o", "a.png", "--layers", "conv1"], 1, "do not pool"),
        (["pooling", "{model}", "-o", "a.png"], 2, "Missing MODEL and IMAGES"),
        (["pooling", "--example", "--values", "1 2; x", "-o", "a.png"], 1, "not a grid"),
        (["weights", "{model}", "--layers", "pool1", "-o", "a.png"], 1, "pool1: pool"),
        (["weights", "{model}", "--before", GALAXY, "-o", "a.png"], 1, "same network before"),
        (["convolution", "--kernel", "1 x", "-o", "a.gif"], 1, "not a grid"),
        (["convolution", "--step", "1", "-o", "a.gif"], 2, "--step is for a figure"),
        (["convolution", "--dilation", "4", "-o", "a.png"], 1, "does not fit"),
    ],
)
def test_mistakes(run, model, image, tmp_path, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    text = tmp_path / "text.png"
    text.write_text("not an image")
    found, out, err = run(*(a.format(model=model, image=image, text=text) for a in arguments))
    assert found == code, err
    assert out == ""
    assert re.search(message, err), err
    assert not list(tmp_path.glob("a.*"))
