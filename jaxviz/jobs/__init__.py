"""Atlases from recipes: plan the work, do it, estimate it."""
