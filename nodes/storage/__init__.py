"""Turns files into URLs that the service can fetch: one class for each kind of storage."""

from .base import Storage, StoredUrl
from .factory import make_storage

__all__ = ["Storage", "StoredUrl", "make_storage"]
