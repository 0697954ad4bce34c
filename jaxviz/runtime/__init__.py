"""XLA, devices and threads; nothing here knows what a network is."""
