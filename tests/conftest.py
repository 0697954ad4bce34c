"""Settings of all tests: full matmul precision, and the same Hypothesis examples every time."""

import gc
import os
import sys
from collections.abc import Iterator

import hypothesis
import jax
import pytest

# scripts that run in another environment or with an older commit, not modules
collect_ignore = ["specimens", "data"]

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
# Without VNNI TensorFlow disables oneDNN, and then refuses some dilations.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("JAXVIZ_TUNING", "off")  # no test depends on a clock
jax.config.update("jax_default_matmul_precision", "highest")

# The same examples every time, without a deadline, so a busy machine fails no test.
hypothesis.settings.register_profile("jaxviz", deadline=None, derandomize=True, max_examples=30)
hypothesis.settings.load_profile("jaxviz")


@pytest.fixture
def damaged_bundles() -> Iterator[None]:
    """Silences errors of collected callbacks, for tests that open damaged bundles.

    When a damaged bundle stops Orbax, callbacks to a closed event loop remain. They raise when
    they are collected, in whichever test runs then.
    """
    kept = sys.unraisablehook
    sys.unraisablehook = lambda unraisable: None
    try:
        yield
        gc.collect()
    finally:
        sys.unraisablehook = kept
