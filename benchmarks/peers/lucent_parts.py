"""torch-lucent beside any torchvision, and Keras 3 models as it takes them."""

import sys


def frozen(model):
    """A Keras model as PyTorch evaluates it, without gradients of the weights at every step."""
    model.eval()
    for variable in model.weights:
        variable.value.requires_grad_(False)
    return model


def import_lucent():
    """(torch, lucent's objectives, param, render, transform)."""
    import torch

    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        # A torchvision built for CUDA beside a PyTorch that is not lacks operators that it
        # describes when it is imported; lucent uses none of them.
        for name in [name for name in sys.modules if name.startswith("torchvision")]:
            del sys.modules[name]
        global _operators  # else they would be gone again
        _operators = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            _operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    from lucent.optvis import objectives, param, render, transform

    return torch, objectives, param, render, transform
