"""Where clocks, sockets, files, processes and threads are: the pure layers meet the host."""
