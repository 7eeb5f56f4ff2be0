"""End to end: the pack in a real ComfyUI, with a fake service."""
