"""Where tokens come from: corpora with a fingerprint, a fixed split and a batch stream of (seed, step) alone."""

from hptransfer.tasks.data.corpus import Corpus
from hptransfer.tasks.data.sources import open_corpus
from hptransfer.tasks.data.synthetic import MarkovSource

__all__ = ["Corpus", "MarkovSource", "open_corpus"]
