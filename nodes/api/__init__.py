"""The remote service over HTTP: requests, tasks, client and downloads, independent of tensors and ComfyUI."""
