"""Renders the stand-in video of a sandbox task."""
