"""Encoding of a VIDEO to an mp4 clip inside the limits, if it is not sent as it is."""
