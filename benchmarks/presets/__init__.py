"""Presets compared by score and by time."""
