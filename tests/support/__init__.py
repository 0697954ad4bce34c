"""Networks, atlases and comparisons that several tests use."""
