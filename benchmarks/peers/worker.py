"""One peer in a process of its own: reads requests, one JSON object a line, and answers.

    worker.py PEER
{"model", "layer", "size", "images", "result"} prepares a cell and makes one step of every
image in `images` (.npy); the new images go to `result`. {"steps": n} makes n steps and
answers {"seconds", "cpu", "images"}: how long they took, by the clock and in processor
time, and how many images were stepped.
"""

import json
import os
import sys
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
PEER = sys.argv[1]
os.environ["KERAS_BACKEND"] = {"keras-jax": "jax", "torch": "torch"}.get(PEER, "tensorflow")

import numpy as np  # noqa: E402

RATE = 10.0


def keras_model(cell):
    """The model cut at the layer, and how many channels that has."""
    import keras

    model = keras.saving.load_model(cell["model"], compile=False)
    cut = keras.Model(model.inputs, model.get_layer(cell["layer"]).output)
    return cut, cut.output.shape[-1]


def trim(size):
    return min(2, (size - 1) // 2)


def middle(activation):
    e, f = trim(activation.shape[1]), trim(activation.shape[2])
    return activation[:, e : activation.shape[1] - e, f : activation.shape[2] - f]


def tensorflow(cell, images, batch):
    """Batched, or with a batch of 1 the published loop: one filter, one image."""
    import tensorflow as tf

    model, filters = keras_model(cell)

    @tf.function
    def step(images, channels):
        with tf.GradientTape() as tape:
            tape.watch(images)
            means = tf.reduce_mean(middle(model(images)), axis=(1, 2))
            loss = tf.reduce_sum(tf.gather(means, channels, axis=1, batch_dims=1))
        gradient = tape.gradient(loss, images)
        return images + RATE * tf.math.l2_normalize(gradient, axis=(1, 2, 3))

    parts = [
        (tf.constant(images[i : i + batch]), tf.constant(np.arange(i, i + batch) % filters))
        for i in range(0, len(images), batch)
    ]
    run = [lambda x, c=c: step(x, c) for _, c in parts]
    return run, [x for x, _ in parts], lambda x: x.numpy()


def keras_jax(cell, images, batch):
    import jax
    import jax.numpy as jnp

    model, filters = keras_model(cell)
    state = (
        [v.value for v in model.trainable_variables],
        [v.value for v in model.non_trainable_variables],
    )

    @jax.jit
    def step(state, images, channels):
        def loss(images):
            means = middle(model.stateless_call(*state, images)[0]).mean((1, 2))
            return means[jnp.arange(len(means)), channels].sum()

        gradient = jax.grad(loss)(images)
        squares = (gradient**2).sum((1, 2, 3), keepdims=True)
        return images + RATE * gradient * jax.lax.rsqrt(jnp.maximum(squares, 1e-12))

    channels = jnp.arange(len(images)) % filters
    return [lambda x: step(state, x, channels)], [jnp.asarray(images)], np.asarray


def torch(cell, images, batch):
    import torch

    torch.set_num_threads(os.cpu_count() or 1)
    model, filters = keras_model(cell)
    for variable in model.weights:
        variable.value.requires_grad_(False)
    channels = torch.arange(len(images)) % filters

    def step(images):
        images = images.detach().requires_grad_(True)
        means = middle(model(images)).mean((1, 2))
        loss = means[torch.arange(len(images)), channels].sum()
        (gradient,) = torch.autograd.grad(loss, images)
        squares = (gradient**2).sum((1, 2, 3), keepdim=True)
        with torch.no_grad():
            return images + RATE * gradient * torch.rsqrt(squares.clamp(min=1e-12))

    return [step], [torch.from_numpy(images)], lambda x: x.detach().numpy()


def ours(cell, images, batch):
    import jax
    import jax.numpy as jnp

    from jaxviz.batch import LayerRenderer
    from jaxviz.loading import load_bundle
    from jaxviz.presets import get_preset

    bundle = load_bundle(cell["model"])
    preset = get_preset("keras-io").override(steps=1_000_000)  # as many as are asked for
    renderer = LayerRenderer(bundle, cell["layer"], preset, size=cell["size"])
    program, params = renderer._program(renderer.preset), renderer._params
    run, start = [], []
    for first in range(0, len(images), renderer.chunk):
        some = jnp.arange(first, first + renderer.chunk) % len(images)
        channels = some % renderer.units_in_layer
        keys = jax.random.split(jax.random.key(0), renderer.chunk)
        state = program.start_from(params, jnp.asarray(images[np.asarray(some)]), keys)
        start.append(state)
        run.append(lambda s, c=channels: program.advance(params, s, c, 0, 1))
    return run, start, lambda state: np.asarray(state.latent)


MAKERS = {
    "jaxviz": (ours, 0),
    "keras.io": (tensorflow, 1),
    "tensorflow": (tensorflow, 16),
    "keras-jax": (keras_jax, 16),
    "torch": (torch, 16),
}


def serve():
    run, state, read = [], [], None
    for line in sys.stdin:
        request = json.loads(line)
        began, worked = time.perf_counter(), time.process_time()
        if "model" in request:
            make, batch = MAKERS[PEER]
            images = np.load(request["images"])
            run, state, read = make(request, images, batch)
            state = [one(x) for one, x in zip(run, state, strict=True)]
            np.save(request["result"], np.concatenate([read(x) for x in state])[: len(images)])
            answer = {"compile": time.perf_counter() - began}
        else:
            for number in range(request["steps"]):
                which = number % len(run)
                state[which] = run[which](state[which])
            images = sum(len(read(state[n % len(run)])) for n in range(request["steps"]))
            answer = {
                "seconds": time.perf_counter() - began,
                "cpu": time.process_time() - worked,
                "images": images,
            }
        print(json.dumps(answer), file=OUT, flush=True)


if __name__ == "__main__":
    # what libraries print goes elsewhere than the answers
    OUT = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve()
