"""Helpers that know nothing of networks: text, file names, settings, cache folders."""
