"""A converted model on disk: a spec and weights, usable without Keras."""

from jaxviz.bundle.store import Bundle, check_weights, is_bundle, save

__all__ = ["Bundle", "check_weights", "is_bundle", "save"]
