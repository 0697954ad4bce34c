"""A check that a figure is legible: no text overlaps another, a map, or the page's edge."""

from __future__ import annotations

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

from jaxviz.bundle import Bundle
from jaxviz.model import Model
from jaxviz.spec import (
    Activation,
    Conv,
    Dense,
    GlobalPool,
    InputRange,
    InputSpec,
    ModelSpec,
    Node,
    Pool,
)
from tests.support.tiny import random_weights


def assert_tidy(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    page = figure.bbox
    texts, maps = [], []
    for axes in figure.axes:
        texts += [t for t in axes.texts if t.get_text().strip()]
        maps += [image.get_window_extent() for image in axes.images]
    boxes = [t.get_window_extent(renderer) for t in texts]
    names = [t.get_text() for t in texts]
    assert texts
    for name, box in zip(names, boxes, strict=True):
        inside = page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1
        assert inside, f"{name!r} is cut by the page"
    corners = np.array([[b.x0, b.y0, b.x1, b.y1] for b in boxes])
    # An overlap of one device pixel is antialiasing.
    for i, j in zip(*np.nonzero(np.triu(_overlaps(corners, corners), 1)), strict=True):
        raise AssertionError(f"{names[i]!r} lies on {names[j]!r}")
    if maps:
        areas = np.array([[b.x0, b.y0, b.x1, b.y1] for b in maps])
        for i, _ in zip(*np.nonzero(_overlaps(corners, areas)), strict=True):
            raise AssertionError(f"{names[i]!r} lies on a map")
        assert not np.triu(_overlaps(areas, areas), 1).any(), "a map lies on another"
        edges = np.array([page.x0, page.y0, page.x1, page.y1]) + [-1, -1, 1, 1]
        assert (areas[:, :2] >= edges[:2]).all()
        assert (areas[:, 2:] <= edges[2:]).all()


def _overlaps(a, b, slack=1.5):
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    return (high - low > slack).all(axis=-1)


def chain(layers, *, channels=3, size=(32, 32), classes=5, name="convolution_number_{}", seed=0):
    """A network of `layers` convolutions with ReLU, and a pooling layer after every second."""
    nodes, last = [], "image"
    side = min(size)
    for k in range(1, layers + 1):
        this = name.format(k)
        before = f"{this}/pre_activation"
        op = Conv(filters=6, window=(3, 3), strides=(1, 1), dilation=(1, 1), padding="same")
        weights = {"kernel": "kernel", "bias": "bias"}
        nodes.append(Node(name=before, layer=this, stage="pre_activation", inputs=(last,), op=op,
                          weights=weights))  # fmt: skip
        nodes.append(Node(name=this, layer=this, inputs=(before,), op=Activation(function="relu")))
        last = this
        if k % 2 == 0 and side >= 4:
            side //= 2
            pool = Pool(kind="max", window=(2, 2), strides=(2, 2), padding="valid")
            nodes.append(Node(name=f"pool{k}", layer=f"pool{k}", inputs=(last,), op=pool))
            last = f"pool{k}"
    nodes.append(Node(name="mean", layer="mean", inputs=(last,), op=GlobalPool(kind="average")))
    dense = Dense(units=classes)
    nodes.append(Node(name="scores", layer="scores", inputs=("mean",), op=dense,
                      weights={"kernel": "kernel", "bias": "bias"}))  # fmt: skip
    nodes.append(
        Node(
            name="classes",
            layer="classes",
            inputs=("scores",),
            op=Activation(function="softmax"),
        )
    )
    spec = ModelSpec(
        name="chain",
        inputs=(InputSpec(name="image", shape=(*size, channels)),),
        nodes=tuple(nodes),
        outputs=("classes",),
        range=InputRange(low=(0.0,), high=(1.0,)),
    )
    return Model(Bundle(spec, random_weights(spec, seed)))


def texts_of(figure):
    return [t.get_text() for axes in figure.axes for t in axes.texts]
