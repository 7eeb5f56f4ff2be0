"""The pack's web part and its workflows in the real frontends, in a real browser."""
