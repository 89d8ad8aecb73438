"""A seeded simulator around the real protocol objects."""
