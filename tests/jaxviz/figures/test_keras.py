"""Feature maps are what Keras' own `Model(inputs, layer.output)` predicts, layer by layer."""

import numpy as np
import pytest

import jaxviz
from jaxviz.figures.capture import capture
from jaxviz.figures.choose import map_layers
from tests.support.models import real_model

keras = pytest.importorskip("keras")

# The small networks, with the values they were trained on.
NETWORKS = {"galaxy_cnn.keras": 1.0, "fashion.keras": 1.0, "cifar10.h5": 255.0}


# Old files say `input_shape`, of which Keras warns.
@pytest.mark.filterwarnings("ignore:Do not pass an `input_shape`:UserWarning")
@pytest.mark.parametrize("name", NETWORKS)
def test_maps_are_those_of_keras(name):
    path = jaxviz.example(name) if name == "galaxy_cnn.keras" else real_model(name)
    reference = keras.models.load_model(path, compile=False)
    model = jaxviz.load(path)
    shape = (5, *model.input_shape)
    images = np.random.default_rng(0).uniform(0, NETWORKS[name], shape).astype(np.float32)
    layers = map_layers(model.spec, most=99)
    assert len(layers) >= 6
    seen = capture(model, images, layers)
    outputs = [reference.get_layer(layer).output for layer in layers]
    expected = keras.Model(reference.inputs, outputs).predict(images, verbose=0)
    for layer, wanted in zip(layers, expected, strict=True):
        error = np.linalg.norm(seen.maps[layer] - wanted) / np.linalg.norm(wanted)
        assert error < 1e-5, (layer, error)
    np.testing.assert_allclose(seen.output, reference.predict(images, verbose=0), rtol=2e-4)


def test_batches_do_not_change_the_maps():
    model = jaxviz.load(jaxviz.example("galaxy_cnn.keras"))
    images = np.random.default_rng(1).uniform(size=(33, *model.input_shape))
    whole = capture(model, images, ["pool3"]).maps["pool3"]
    _, one_by_one = model(images[-1:], taps=("pool3",))
    assert whole.shape[0] == 33
    np.testing.assert_allclose(whole[-1:], one_by_one["pool3"], rtol=1e-4, atol=1e-5)
