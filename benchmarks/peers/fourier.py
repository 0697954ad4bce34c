"""A step like the default preset's, as a user would write it for TensorFlow, over a batch.

The image is a Fourier image in decorrelated colours, in [0, 1]. Each image gets a random shift
and scale that wrap around (one projective transform). The objective is the mean of a channel, and
a step follows the gradient, scaled to root mean square 1. The pictures differ from those of
jaxviz; the amount of work is alike.
"""

import numpy as np

from benchmarks.peers.frameworks import batches, keras_model, looped, middle, use_threads

RATE = 0.12
COLOURS = np.array([[0.26, 0.09, 0.02], [0.27, 0.0, -0.05], [0.27, -0.09, 0.03]], np.float32)
SHIFT, SCALE = 16.0, (0.9, 1.1)


def tensorflow_fourier(cell, images, channels, batch):
    """Latents are [batch, 2, channels, height, width // 2 + 1]."""
    import tensorflow as tf

    use_threads(tf)
    model, size, depth = keras_model(cell), cell["size"], images.shape[-1]
    waves = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size))
    envelope = (size / 4 / np.maximum(waves, 1 / size) ** 0.75).astype(np.float32)

    def picture(latent):
        spectrum = latent * envelope
        values = tf.signal.irfft2d(tf.complex(spectrum[:, 0], spectrum[:, 1]), [size, size])
        values = tf.transpose(values, [0, 2, 3, 1])
        if depth == 3:
            values = tf.linalg.matmul(values, COLOURS / 0.46, transpose_b=True)
        return tf.sigmoid(values)

    def moved(image):
        factor = 1 / tf.random.uniform([batch, 1], *SCALE)
        shift = tf.round(tf.random.uniform([batch, 2], -SHIFT, SHIFT))
        begin = (size - 1) / 2 * (1 - factor) - shift
        zero = tf.zeros_like(factor)
        rows = [factor, zero, begin[:, :1], zero, factor, begin[:, 1:], zero, zero]
        return tf.raw_ops.ImageProjectiveTransformV3(
            images=image,
            transforms=tf.concat(rows, axis=1),
            output_shape=[size, size],
            fill_value=0.0,
            interpolation="BILINEAR",
            fill_mode="WRAP",
        )

    @tf.function
    def ascend(latent, channels):
        with tf.GradientTape() as tape:
            tape.watch(latent)
            means = tf.reduce_mean(middle(model(2 * moved(picture(latent)) - 1)), axis=(1, 2))
            value = tf.reduce_sum(tf.gather(means, channels, axis=1, batch_dims=1))
        gradient = tape.gradient(value, latent)
        squares = tf.reduce_mean(gradient**2, axis=(1, 2, 3, 4), keepdims=True)
        return latent + RATE * gradient * tf.math.rsqrt(tf.maximum(squares, 1e-12))

    def start(images):
        shape = (len(images), 2, depth, size, size // 2 + 1)
        return tf.constant(np.random.default_rng(0).normal(0, 0.01, shape).astype(np.float32))

    def read(latent):
        return picture(latent).numpy()

    parts = looped(
        [(x, tf.constant(c)) for x, c in batches(images, channels, batch)], ascend, start, read
    )
    parts.read = read
    return parts
