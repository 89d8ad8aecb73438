"""The C core; ftvm.machine is the only package that imports it."""
