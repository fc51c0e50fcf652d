//! The weights file: the token table in one byte a number.

use nalgebra::DMatrix;
use safetensors::{Dtype, tensor::TensorView};

use crate::{Error, sources::Frequencies};

/// Quantizes each row of `vectors` to `i8` and lays it out with its scale, which is the step of the
/// row times the weight of its token.
#[expect(clippy::cast_possible_truncation, reason = "narrower numbers are the purpose")]
pub(crate) fn quantize(
    vectors: &DMatrix<f64>,
    frequencies: &Frequencies,
) -> Result<Vec<u8>, Error> {
    let mut values = Vec::with_capacity(vectors.len());
    let mut scales = Vec::with_capacity(vectors.nrows() * size_of::<f32>());
    for (row, weight) in vectors.row_iter().zip(frequencies.weights()) {
        let step = row.amax() / f64::from(i8::MAX);
        values.extend(row.iter().map(|value| ((value / step).round() as i8).cast_unsigned()));
        scales.extend_from_slice(&((step * weight) as f32).to_le_bytes());
    }
    let rows = TensorView::new(Dtype::I8, vec![vectors.nrows(), vectors.ncols()], &values)?;
    let scales = TensorView::new(Dtype::F32, vec![vectors.nrows()], &scales)?;
    Ok(safetensors::serialize([("vectors", rows), ("scales", scales)], None)?)
}
