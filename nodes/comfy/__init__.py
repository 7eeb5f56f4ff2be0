"""The adapter to ComfyUI: how the nodes reach its threads, progress, prompt, caches and VIDEO type."""
