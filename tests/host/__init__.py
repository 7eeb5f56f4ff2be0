"""Sets up and drives what the tests run against: a real ComfyUI, its frontends, a browser.

Setting up (`python3 -m tests.host`) uses the standard library only: it runs before anything is installed.
"""
