"""The offline stand-in for the remote service."""
