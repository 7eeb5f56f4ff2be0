"""The Python code of the pack. Imports nothing by itself: ComfyUI loads the nodes through `extension`."""
