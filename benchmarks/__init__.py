"""Speed, measured as ratios: both sides in one run. `python -m benchmarks` runs all and writes docs/measurements.md.

Each module prints one Markdown section and can be run alone: `python -m benchmarks.train`.
"""
