"""Tests of the pack: unit tests mirror `nodes/`, `comfyui/` drives a real ComfyUI, `browser/` a real browser."""
