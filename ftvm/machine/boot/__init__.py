"""From an image's bytes to a machine that is ready for its first instruction."""
