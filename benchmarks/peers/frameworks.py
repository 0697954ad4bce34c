"""Steps that a user would write with Keras: on TensorFlow, as published and batched, and on JAX."""

import os

import numpy as np

from benchmarks.peers.parts import Parts

RATE = 10.0


def keras_model(cell):
    """The model cut at the layer."""
    import keras

    model = keras.saving.load_model(cell["model"], compile=False)
    return keras.Model(model.inputs, model.get_layer(cell["layer"]).output)


def trim(size):
    """Positions cut off each side: the published 2, or fewer on a map that 2 would leave empty."""
    return min(2, (size - 1) // 2)


def middle(activation):
    sizes = activation.shape[1:-1]
    return activation[(slice(None), *(slice(trim(n), n - trim(n)) for n in sizes))]


def spatial(x):
    """All axes but the first and the last."""
    return tuple(range(1, len(x.shape) - 1))


def batches(images, channels, batch):
    """Images and channels, `batch` of them at a time."""
    return [(images[i : i + batch], channels[i : i + batch]) for i in range(0, len(images), batch)]


def looped(parts, step, start, read):
    """The parts of a peer whose step is a function of (images, channels)."""
    channels = [c for _, c in parts]

    def advance(state, which, count):
        for _ in range(count):
            state = step(state, channels[which])
        read(state)
        return state

    return Parts([start(x) for x, _ in parts], advance, read, len(parts[0][0]))


def use_threads(tf):
    tf.config.threading.set_intra_op_parallelism_threads(int(os.environ["OMP_NUM_THREADS"]))


def keras_io(cell, images, channels, batch):
    """The published step: one image and one filter a call."""
    import tensorflow as tf

    use_threads(tf)
    model = keras_model(cell)

    @tf.function
    def ascend(image, index):
        with tf.GradientTape() as tape:
            tape.watch(image)
            loss = tf.reduce_mean(middle(model(image))[..., index])
        return image + RATE * tf.math.l2_normalize(tape.gradient(loss, image))

    parts = [(x, tf.constant(c[0])) for x, c in batches(images, channels, batch)]
    return looped(parts, ascend, tf.constant, lambda x: x.numpy())


def tensorflow(cell, images, channels, batch):
    """The published step over a batch."""
    import tensorflow as tf

    use_threads(tf)
    model = keras_model(cell)

    @tf.function
    def ascend(images, channels):
        with tf.GradientTape() as tape:
            tape.watch(images)
            seen = middle(model(images))
            means = tf.reduce_mean(seen, axis=spatial(seen))
            loss = tf.reduce_sum(tf.gather(means, channels, axis=1, batch_dims=1))
        gradient = tape.gradient(loss, images)
        return images + RATE * tf.math.l2_normalize(gradient, axis=(*spatial(images), -1))

    parts = [(x, tf.constant(c)) for x, c in batches(images, channels, batch)]
    return looped(parts, ascend, tf.constant, lambda x: x.numpy())


def keras_jax(cell, images, channels, batch):
    """The published step in Keras 3 on JAX, over a batch, jitted."""
    import jax
    import jax.numpy as jnp

    model = keras_model(cell)
    weights = (
        [v.value for v in model.trainable_variables],
        [v.value for v in model.non_trainable_variables],
    )

    @jax.jit
    def ascend(weights, images, channels):
        def loss(images):
            seen = middle(model.stateless_call(*weights, images)[0])
            means = seen.mean(spatial(seen))
            return means[jnp.arange(len(means)), channels].sum()

        gradient = jax.grad(loss)(images)
        squares = (gradient**2).sum((*spatial(images), -1), keepdims=True)
        return images + RATE * gradient * jax.lax.rsqrt(jnp.maximum(squares, 1e-12))

    parts = [(x, jnp.asarray(c)) for x, c in batches(images, channels, batch)]
    return looped(parts, lambda x, c: ascend(weights, x, c), jnp.asarray, np.asarray)
