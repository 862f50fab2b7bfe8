"""The device of the tests that need a GPU; LAB_TEST_DEVICE=cpu runs those that a CPU can run on a CPU."""

import os

TEST_DEVICE = os.environ.get("LAB_TEST_DEVICE", "cuda")
