"""HTTP routes of the sandbox."""
