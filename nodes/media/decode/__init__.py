"""Decodes a video file to one float32 tensor and a waveform."""
