"""Sampling under constraints on real tasks: quality and cost of the strategies of ``structgen.sampling``."""
