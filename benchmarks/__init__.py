"""Measurements: one question a script, the question is its docstring. Tables in README.md are written by the scripts."""
