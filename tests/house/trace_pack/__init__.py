"""A pack without nodes: its prestartup_script.py is what counts."""

NODE_CLASS_MAPPINGS: dict[str, type] = {}
