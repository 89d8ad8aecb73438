"""Replication without input or output: what primary, backup and console say to each other.

Bytes go in, events come out. The caller owns sockets, clocks, processes, the
machine and the store; nothing here waits, sleeps or reads a clock. docs/protocol.md
tells the protocol in words.
"""
