"""The deterministic PC: CPU, memory, port bus, devices, boot.

Nothing in here knows a clock, a socket, a thread or a random source; what a
part needs of the world is handed to it.
"""
