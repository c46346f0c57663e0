"""The frame around the pages: top bar, rail, inspector, run bar, palette, toasts."""
