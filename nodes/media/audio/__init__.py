"""Encoding of a waveform to a WAV or MP3 file inside the limits."""
