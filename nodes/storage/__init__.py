"""Turns files into URLs that the service can fetch: one class for each kind of storage."""

from .base import Storage, StoredUrl
from .factory import kind_in_use, make_storage

__all__ = ["Storage", "StoredUrl", "kind_in_use", "make_storage"]
