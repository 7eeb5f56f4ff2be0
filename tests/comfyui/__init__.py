"""End to end: the pack inside a real ComfyUI, against a sandbox of the tests' own."""
