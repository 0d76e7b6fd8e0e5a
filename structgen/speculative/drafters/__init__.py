"""Where drafts come from: the constraint itself, texts seen before, what the target said before, a smaller model."""
