"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click


def options(*chosen: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Several options as one decorator, in the order they are listed in the help."""

    def apply(function: Any) -> Any:
        for option in reversed(chosen):
            function = option(function)
        return function

    return apply


range_options = options(
    click.option("--range", "range_", metavar="LO:HI", help="Values the network was trained on."),
    click.option(
        "--preprocess", metavar="NAME", help="Or a keras.applications mode: tf, torch, caffe, raw."
    ),
)
weights_option = click.option(
    "--weights", metavar="FILE", help="Weights, where MODEL holds only the architecture."
)
