"""Encodes a waveform to WAV or MP3 inside the limits."""
