"""Conversion between tensors and media files, with torch, numpy, Pillow and PyAV."""
