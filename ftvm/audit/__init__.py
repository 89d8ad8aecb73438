"""What replicas and consoles write down of a run, and whether it was right.

A journal is one process's account of itself. Journals of all sides together
prove, or disprove, what the protocol promises: docs/audit.md.
"""
