"""Measurements of masked-diffusion decoding: one question a script. Tables in README.md are written by the scripts."""
