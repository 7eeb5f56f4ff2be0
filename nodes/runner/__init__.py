"""Submits, polls and fetches tasks in the background, on its own thread and event loop."""
