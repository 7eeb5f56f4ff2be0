"""The remote service: request, limits, task, client, errors. Knows httpx; knows no tensors and no ComfyUI."""
