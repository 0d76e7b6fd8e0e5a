"""Training of the embedded model: synthetic extraction data, tokenizer, training, evaluation (see README.md)."""
