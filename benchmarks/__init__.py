"""Measures the lab; nothing in this folder runs as a test.

This file makes the folder a package, because pyarrow 17 installs a package of the same name, which would hide it.
"""
