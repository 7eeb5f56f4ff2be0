"""Errors, limits, addresses, redaction, backoff, event loop, locks, atomic writes: what every package may import."""
