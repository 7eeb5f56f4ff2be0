"""Encodes an image tensor to PNG, JPEG or WebP inside the limits."""
