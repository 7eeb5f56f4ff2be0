"""The adapter to ComfyUI: threads, progress, prompts, the output cache and the VIDEO type, as the nodes use them."""
