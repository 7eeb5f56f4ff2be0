"""Turns files into URLs the service can fetch: one class for each kind of storage."""
