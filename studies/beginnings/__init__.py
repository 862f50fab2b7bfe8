"""Beginnings: packages with a part of one's own, and a study file, that `lab new` writes for users to edit."""
