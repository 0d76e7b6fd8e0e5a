"""Oracles of the grammar library, one module for each grammar: ``accepts(text)`` says whether the text is in its language."""
