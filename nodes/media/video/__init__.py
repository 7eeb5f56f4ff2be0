"""Reads video containers: opening, packets, timestamps and metadata."""
