"""Encodes a VIDEO to an mp4 clip inside the limits, or passes it through."""
