"""FINDINGS.md as a template: every number in its text is computed from the published archives when the page is written.

python -m benchmarks.findings > FINDINGS.md     (make findings)
"""
