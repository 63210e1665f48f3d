"""What drift compares of a sample of texts: labels, lengths, terms and predicted probabilities, but not the texts."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

COMPARED_TERMS = 500  # most frequent terms of the reference that are compared
MIN_TERM_TEXTS = 10  # texts of the reference that a term must occur in: fewer could identify a text


@dataclass(frozen=True, eq=False, repr=False)
class DriftSample:
    """Quantities of cleaned texts.

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), object
        Class names; "" where missing.
    lengths : ndarray of shape (n_rows,), int64
        Number of units of each text, without truncation.
    unknown : ndarray of shape (n_rows,), float64
        Fraction of a text's units that are not in the vocabulary.
    terms : csr_matrix of shape (n_rows, n_units), float32
        1 where a text contains a unit of the vocabulary.
    vocabulary : tuple of str
        The units, in the order of the columns of `terms`.
    classes : tuple of str
        The model's classes; empty without a model.
    probabilities : ndarray of shape (n_rows, n_classes), float64
        The model's predictions.
    """

    labels: np.ndarray
    lengths: np.ndarray
    unknown: np.ndarray
    terms: "csr_matrix"
    vocabulary: tuple[str, ...]
    classes: tuple[str, ...]
    probabilities: np.ndarray

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def labelled(self) -> np.ndarray:
        """Mask of the rows with a label, shape (n_rows,)."""
        mask: np.ndarray = self.labels != ""
        return mask

    def take(self, rows: np.ndarray) -> "DriftSample":
        """Return some of the rows, selected by number or mask."""
        columns = (self.labels[rows], self.lengths[rows], self.unknown[rows], self.terms[rows])
        return DriftSample(*columns, self.vocabulary, self.classes, self.probabilities[rows])


def class_counts(before: DriftSample, after: DriftSample) -> tuple[list[str], np.ndarray]:
    """Return the classes of both samples, sorted, and each sample's rows by class: shape (2, n_classes)."""
    classes = sorted((set(before.labels) | set(after.labels)) - {""})
    counts = [[(sample.labels == name).sum() for name in classes] for sample in (before, after)]
    return classes, np.array(counts)


def frequent_terms(before: DriftSample) -> np.ndarray:
    """Return the columns of the reference's most frequent terms, shape (n_terms,); see `COMPARED_TERMS`."""
    counts = np.asarray(before.terms.sum(axis=0)).ravel()
    most_frequent = np.argsort(-counts, kind="stable")[:COMPARED_TERMS]
    columns: np.ndarray = most_frequent[counts[most_frequent] >= MIN_TERM_TEXTS]
    return columns


def term_counts(before: DriftSample, after: DriftSample) -> tuple[list[str], np.ndarray]:
    """Return the reference's frequent terms, and how many texts of each sample contain them: shape (2, n_terms)."""
    columns = frequent_terms(before)
    counts = [np.asarray(sample.terms[:, columns].sum(axis=0)).ravel() for sample in (before, after)]
    return [before.vocabulary[column] for column in columns], np.stack(counts)
