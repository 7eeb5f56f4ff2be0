"""Encoding of an image tensor to a PNG, JPEG or WebP file inside the limits."""
