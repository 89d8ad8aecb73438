"""The PC's devices, each a small deterministic object written from its data sheet."""
