"""Tensors to files and back. Knows torch, numpy, Pillow and av; knows no HTTP and no ComfyUI."""
