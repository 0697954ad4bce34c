"""Pictures made by torch-lucent with its own defaults, of a Keras model on Keras 3's PyTorch.

`compare` runs it in the peers' environment, with KERAS_BACKEND=torch:

    python -m benchmarks.presets.torch_lucent MODEL.keras LAYER CHANNELS SIZE STEPS LOW:HIGH OUT.npz

CHANNELS are numbers with commas between them. OUT gets `images` [unit, height, width, channel]
in [0, 1] and `seconds` per picture. The call of `render_vis` follows lucent's documentation:
`param.image` (Fourier, decorrelated colours), the standard transforms, Adam with 0.05, and one
`channel` objective a run. Two settings differ. The network gets its own input range instead of
torchvision's normalisation, and images of the picture's size instead of 224 px.
"""

import os
import sys
import time

import numpy as np

from benchmarks.peers.lucent_parts import frozen, import_lucent


def main():
    model, layer, channels, size, steps, limits, out = sys.argv[1:]
    low, high = map(float, limits.split(":"))
    torch, objectives, param, render, _ = import_lucent()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    import keras

    whole = keras.saving.load_model(model, compile=False)
    cut = frozen(keras.Model(whole.inputs, whole.get_layer(layer).output))

    class Layer(torch.nn.Module):
        """Pictures in [0, 1] -> the layer's map, both NCHW, which is lucent's layout."""

        def forward(self, x):
            return cut(low + (high - low) * x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = Layer()

        def forward(self, x):
            return self.layer(x)

    network = Network().eval()
    wanted = [int(channel) for channel in channels.split(",")]

    def picture(channel, steps):
        torch.manual_seed(channel)
        np.random.seed(channel)  # lucent's transforms draw from NumPy
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
        network.layer._forward_hooks.clear()  # render_vis leaves its hooks behind
        return made[-1][0]

    picture(wanted[0], 2)
    begin = time.perf_counter()
    pictures = np.stack([picture(channel, int(steps)) for channel in wanted])
    np.savez(out, images=pictures, seconds=(time.perf_counter() - begin) / len(wanted))


if __name__ == "__main__":
    main()
