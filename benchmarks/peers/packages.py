"""Packages that make such pictures, called as their documentation does, with jaxviz' numbers.

Neither normalises gradients by itself. The published step therefore enters through a gradient
modifier (tf-keras-vis) and an optimizer (lucent). For the preset `robust` each uses its nearest
equivalents: jitter and scale, Adam, and lucent's Fourier image.
"""

import os

import numpy as np

from benchmarks.peers.frameworks import RATE, batches, keras_model, middle, trim, use_threads
from benchmarks.peers.lucent_parts import frozen, import_lucent
from benchmarks.peers.parts import Parts


def tf_keras_vis(cell, images, channels, batch):
    """`ActivationMaximization` over a batch, without its modifiers and regularizers."""
    import tensorflow as tf
    from tf_keras_vis.activation_maximization import ActivationMaximization
    from tf_keras_vis.activation_maximization.input_modifiers import Jitter, Scale

    use_threads(tf)
    maximise = ActivationMaximization(keras_model(cell), clone=False)

    def normalised(gradient):
        return tf.math.l2_normalize(gradient, axis=(1, 2, 3))

    parts, robust = batches(images, channels, batch), cell["preset"] == "robust"

    def advance(state, which, count):
        index = tf.constant(parts[which][1])

        def score(output):
            return tf.gather(tf.reduce_mean(middle(output), (1, 2)), index, axis=1, batch_dims=1)

        return maximise(
            score,
            seed_input=state,
            input_range=None,
            input_modifiers=[Jitter(16), Scale(0.9, 1.1)] if robust else [],
            regularizers=[],
            steps=count,
            optimizer=tf.optimizers.Adam(0.1) if robust else tf.optimizers.SGD(RATE),
            gradient_modifier=None if robust else normalised,
        )

    states = [tf.constant(x) for x, _ in parts]
    return Parts(states, advance, np.asarray, len(parts[0][0]))


def torch_lucent(cell, images, channels, batch):
    """`render_vis` with a sum of channel objectives, on Keras 3's PyTorch modules."""
    torch, objectives, param, render, transform = import_lucent()
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    whole, parts = cut_network(torch, cell), batches(images, channels, batch)
    normalised = normalised_optimizer(torch)
    scales = [1 + 0.02 * n for n in range(-5, 6)]
    fourier = {
        "param_f": lambda: param.image(
            cell["size"], batch=batch, channels=None if images.shape[-1] == 3 else 1
        ),
        "transforms": [transform.jitter(16), transform.random_scale(scales)],
    }

    def advance(state, which, count):
        index = parts[which][1]
        objective = objectives.Objective.sum(
            [objectives.channel("cut", int(c), batch=i) for i, c in enumerate(index)]
        )
        x = state.requires_grad_(True)
        pixels = {
            "param_f": lambda: ([x], lambda: x),
            "optimizer": lambda params: normalised(params, lr=RATE),
            "transforms": [],
        }
        render.render_vis(
            whole,
            objective,
            **(fourier if cell["preset"] == "robust" else pixels),
            thresholds=(count,),
            preprocess=False,
            progress=False,
            show_image=False,
            fixed_image_size=cell["size"],
        )
        whole.cut._forward_hooks.clear()  # render_vis leaves its hooks behind
        return x.detach()

    states = [torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2))) for x, _ in parts]

    def read(x):
        return x.detach().numpy().transpose(0, 2, 3, 1)

    return Parts(states, advance, read, len(parts[0][0]))


def cut_network(torch, cell):
    """A PyTorch module whose only layer, "cut", is the cell's layer."""
    model = frozen(keras_model(cell))

    class Cut(torch.nn.Module):
        """The layer without its border, in lucent's layout NCHW."""

        def forward(self, x):
            seen = model(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            e, f = trim(seen.shape[2]), trim(seen.shape[3])
            return seen[:, :, e : seen.shape[2] - e, f : seen.shape[3] - f]

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.cut = Cut()

        def forward(self, x):
            return self.cut(x)

    return Network()


def normalised_optimizer(torch):
    """A class of PyTorch optimizers with the published step."""

    class Normalised(torch.optim.SGD):
        """Steps of the same length for every image."""

        def step(self, closure=None):
            with torch.enable_grad():
                closure()
            with torch.no_grad():
                for group in self.param_groups:
                    for x in group["params"]:
                        squares = (x.grad**2).sum((1, 2, 3), keepdim=True)
                        x -= RATE * x.grad * torch.rsqrt(squares.clamp(min=1e-12))

    return Normalised
