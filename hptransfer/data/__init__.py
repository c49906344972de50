"""Where tokens come from: corpora with a fingerprint, a fixed split and a batch stream of (seed, step) alone."""

from hptransfer.data.corpus import Corpus
from hptransfer.data.sources import open_corpus
from hptransfer.data.synthetic import MarkovSource

__all__ = ["Corpus", "MarkovSource", "open_corpus"]
