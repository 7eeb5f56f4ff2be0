"""Errors, limits, addresses, redaction and backoff: leaves that every other package may import."""
