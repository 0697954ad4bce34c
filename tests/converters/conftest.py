"""Models made in Keras at test time, compared with it layer by layer."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import converters
from converters.verify import Report, verify


@pytest.fixture
def keras() -> Any:
    """Keras 3, skipped where it is not installed; names start from the beginning."""
    module = pytest.importorskip("keras")
    module.backend.clear_session()
    return module


@pytest.fixture
def randomised() -> Callable[[Any], Any]:
    """Gives every array of a model random values: zeros and ones would hide mistakes."""

    def randomise(model: Any, seed: int = 0) -> Any:
        generator = np.random.default_rng(seed)
        for variable in model.weights:
            kind = np.asarray(variable).dtype
            values = generator.normal(size=tuple(variable.shape), scale=0.3)
            name = getattr(variable, "path", variable.name)
            if any(part in name for part in ("variance", "gamma", "alpha")):
                values = np.abs(values) + 0.5
            if np.issubdtype(kind, np.floating):
                variable.assign(values.astype(kind))
        return model

    return randomise


@pytest.fixture
def parity(randomised: Callable[[Any], Any]) -> Callable[..., Report]:
    """Converts a live model and asserts that every layer's output is Keras'."""

    def check(model: Any, tolerance: float = 1e-5) -> Report:
        randomised(model)
        bundle = converters.from_keras(model)
        generator = np.random.default_rng(1)
        images = {
            i.name: generator.normal(size=(2, *(n or 13 for n in i.shape))).astype(np.float32)
            for i in bundle.spec.inputs
        }
        report = verify(bundle, model, images, tolerance=tolerance)
        assert not report.missing, report.missing
        assert report.passed, str(report)
        return report

    return check
