"""Errors, limits, addresses, redaction, backoff and the event loop: leaves that every other package may import."""
