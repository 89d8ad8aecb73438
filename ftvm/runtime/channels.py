"""A machine's streams as the protocol's channels."""

from ftvm.machine.channels import Stream
from ftvm.replication.messages import Channel

CHANNELS = tuple(Channel(stream) for stream in Stream)
"""All of them: whoever has no use for one takes it and drops it."""
