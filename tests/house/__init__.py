"""Measures the pack's structure: packages, modules, imports between them, and what one image passes through."""
