//! From the 384 dimensions of the base model to those of the table.

use codebase_mcp::embed::DIMENSION;
use nalgebra::{DMatrix, DVector, SymmetricEigen};

use crate::sources::Frequencies;

/// Leading components that are dropped. The first says how common a word is and nothing about its
/// meaning.
const DROPPED: usize = 1;

/// Projects one row per token.
///
/// With `x` a row scaled to length one and `p` the tokens' shares (they sum to one), this is a
/// whitened principal component analysis: `m = sum p x`, `C = sum p (x - m)(x - m)'`, and a row
/// becomes `(x - m)' u / sqrt(l)` for the eigenvectors `u` of `C` with the largest eigenvalues `l`,
/// without the leading [`DROPPED`]. Each eigenvector is turned so that its entry of largest size is
/// positive.
pub(crate) fn project(mut rows: DMatrix<f64>, frequencies: &Frequencies) -> DMatrix<f64> {
    for mut row in rows.row_iter_mut() {
        row.normalize_mut();
    }
    let mut shares = DVector::from_iterator(rows.nrows(), frequencies.shares());
    shares /= shares.sum();

    let mean = rows.tr_mul(&shares).transpose();
    for mut row in rows.row_iter_mut() {
        row -= &mean;
    }
    let mut shared = rows.clone();
    for (mut row, share) in shared.row_iter_mut().zip(&shares) {
        row *= *share;
    }
    &rows * components(rows.tr_mul(&shared))
}

/// The whitening directions of a covariance matrix, one per column.
fn components(covariance: DMatrix<f64>) -> DMatrix<f64> {
    let SymmetricEigen { eigenvectors, eigenvalues } = SymmetricEigen::new(covariance);
    let mut order: Vec<(f64, usize)> = eigenvalues.iter().copied().zip(0..).collect();
    order.sort_by(|(left, _), (right, _)| right.total_cmp(left));
    let columns: Vec<DVector<f64>> = order
        .iter()
        .skip(DROPPED)
        .take(DIMENSION)
        .map(|&(eigenvalue, column)| {
            let direction = eigenvectors.column(column);
            let largest = direction.get(direction.icamax()).copied().unwrap_or(1.0);
            direction * (largest.signum() / eigenvalue.sqrt())
        })
        .collect();
    DMatrix::from_columns(&columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_are_ordered_turned_and_scaled() {
        let covariance = DMatrix::from_diagonal(&DVector::from_row_slice(&[4.0, 25.0, 16.0]));
        let found = components(covariance);
        let expected = [[0.0, 0.5], [0.0, 0.0], [0.25, 0.0]];
        assert_eq!(found, DMatrix::from_row_slice(3, 2, expected.as_flattened()));
    }
}
