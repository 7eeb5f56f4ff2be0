from tests.service.client import client, image_url, run, shared

__all__ = ["client", "image_url", "run", "shared"]
