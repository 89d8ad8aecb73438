"""Replication in a world of its own: the real protocol objects under seeded faults.

Network, clocks, store and hosts are simulated; primary, backup and console are
those of `ftvm.replication`, and in part of the schedules the guest is the real
machine. A seed says all that happens, so a run can be had again as often as
one likes. An oracle judges it by one uninterrupted run.
"""
