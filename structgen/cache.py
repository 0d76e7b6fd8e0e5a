"""The disk cache as seen from the decoding layer: see `structgen.automata.diskcache`, which the lower layers share."""

from structgen.automata.diskcache import code_version, directory, load_arrays, store_arrays

__all__ = ["code_version", "directory", "load_arrays", "store_arrays"]
