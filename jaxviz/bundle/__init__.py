"""A converted model on disk: its spec and its weights, which needs no Keras."""

from jaxviz.bundle.store import Bundle, check_weights, is_bundle, save

__all__ = ["Bundle", "check_weights", "is_bundle", "save"]
