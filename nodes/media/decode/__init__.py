"""Decoding of a video to one float32 tensor and a waveform."""
