#!/usr/bin/env python3
"""Pictures by torch-lucent itself, with its own defaults, of a Keras model on Keras 3's PyTorch.

Run in the peers' environment by `compare.py`:
    torch_lucent.py MODEL.keras LAYER CHANNELS SIZE STEPS LOW:HIGH OUT.npz

CHANNELS are numbers with commas between. OUT gets `images` [unit, height, width, channel] in
[0, 1] and `seconds` a picture. `render_vis` as it is documented: `param.image`
(Fourier, decorrelated colours), its standard transforms, Adam 0.05, one `channel` objective a
run. Two things are ours: the network is fed its own range instead of torchvision's normal one
and at the size of the picture, instead of enlarged to 224 px.
"""

import os
import sys
import time
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
sys.path.insert(0, str(Path(__file__).parents[1] / "peers"))

import numpy as np  # noqa: E402
from lucent_parts import frozen, import_lucent  # noqa: E402


def main():
    model, layer, channels, size, steps, limits, out = sys.argv[1:]
    low, high = map(float, limits.split(":"))
    torch, objectives, param, render, _ = import_lucent()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    import keras

    whole = keras.saving.load_model(model, compile=False)
    cut = frozen(keras.Model(whole.inputs, whole.get_layer(layer).output))

    class Layer(torch.nn.Module):
        """NCHW pictures in [0, 1] to the layer's map, NCHW, as lucent takes channels."""

        def forward(self, x):
            return cut(low + (high - low) * x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = Layer()

        def forward(self, x):
            return self.layer(x)

    network, pictures = Network().eval(), []
    wanted = [int(channel) for channel in channels.split(",")]

    def picture(channel, steps):
        torch.manual_seed(channel)
        np.random.seed(channel)  # its transforms draw from NumPy
        made = render.render_vis(
            network,
            objectives.channel("layer", channel),
            param_f=lambda: param.image(int(size)),
            thresholds=(steps,),
            preprocess=False,
            progress=False,
            show_image=False,
            fixed_image_size=int(size),
        )
        network.layer._forward_hooks.clear()  # render_vis leaves its own behind
        return made[-1][0]

    picture(wanted[0], 2)
    begin = time.perf_counter()
    pictures = np.stack([picture(channel, int(steps)) for channel in wanted])
    np.savez(out, images=pictures, seconds=(time.perf_counter() - begin) / len(wanted))


if __name__ == "__main__":
    main()
