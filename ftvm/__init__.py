"""ftvm: a fault-tolerant virtual machine in the style of VMware FT."""
