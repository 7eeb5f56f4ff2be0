"""All shipped Python of the pack. Light on purpose: nodes are imported by `extension`, when ComfyUI asks for them."""
