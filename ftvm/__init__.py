"""ftvm: a fault-tolerant virtual machine in the style of VMware FT."""

__version__ = "0.1.0"
