"""The published loop as a script: every filter of some layers, one after the other.

    python -m benchmarks.peers.keras_io MODEL SIZE LAYER... [--once]

The numbers are from keras.io, "Visualizing what convnets learn". Its step takes the filter as a
Python number, so TensorFlow traces the step again for every filter. With --once the step takes a
tensor.
"""

import os
import sys

import keras
import numpy as np
import tensorflow as tf


def compute_loss(extractor, image, index):
    return tf.reduce_mean(extractor(image)[:, 2:-2, 2:-2, index])


@tf.function
def ascend(extractor, image, index, rate):
    with tf.GradientTape() as tape:
        tape.watch(image)
        loss = compute_loss(extractor, image, index)
    gradient = tf.math.l2_normalize(tape.gradient(loss, image))
    return loss, image + rate * gradient


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "--once"]
    once = len(arguments) < len(sys.argv) - 1
    path, size, layers = arguments[0], int(arguments[1]), arguments[2:]
    model = keras.saving.load_model(path, compile=False)
    for layer in layers:
        extractor = keras.Model(model.inputs, model.get_layer(layer).output)
        for index in range(extractor.output.shape[-1]):
            image = (tf.random.uniform((1, size, size, 3)) - 0.5) * 0.25
            for _ in range(30):
                _, image = ascend(extractor, image, tf.constant(index) if once else index, 10.0)
            shown = image[0].numpy()
            shown = (shown - shown.mean()) / (shown.std() + 1e-5) * 0.15 + 0.5
            keras.utils.save_img(os.devnull, np.clip(shown, 0, 1), file_format="png")


if __name__ == "__main__":
    main()
