"""The version of jaxviz; the build reads it here."""

__version__ = "0.1.0"
