"""The modules of web/lib that need no page, run outside the browser."""
