"""Imports torch-lucent beside any torchvision, and freezes Keras 3 models for it."""

import sys


def frozen(model):
    """A Keras model in evaluation mode, whose weights get no gradients."""
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
        # A torchvision built for CUDA describes operators on import that a PyTorch without CUDA
        # lacks. lucent uses none of them, so empty definitions suffice.
        for name in [name for name in sys.modules if name.startswith("torchvision")]:
            del sys.modules[name]
        global _operators  # keeps the definitions alive
        _operators = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            _operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    from lucent.optvis import objectives, param, render, transform

    return torch, objectives, param, render, transform
