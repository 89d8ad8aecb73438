"""Logs kept and used again: recording a machine, replaying it."""
