"""Rendering of the stand-in video of a task."""
