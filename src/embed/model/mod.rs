//! The token table and what makes a vector of it.

use safetensors::{Dtype, SafeTensorError, SafeTensors, tensor::TensorView};

use super::{WordPiece, Words};

/// Length of a vector.
pub const DIMENSION: usize = 256;

/// A text is embedded by its first this many tokens, which bounds the work for a text of any size.
/// It is several times the length of a usual chunk of code.
pub const MAX_TOKENS: usize = 512;

const WEIGHTS: &[u8] = include_bytes!("../../../model/weights/static.safetensors");
const VOCABULARY: &str = include_str!("../../../model/weights/vocab.txt");

/// A model that turns text into vectors by table look-up. Shared between threads without a lock.
#[derive(Debug)]
pub struct StaticModel {
    identity: Identity,
    pieces: WordPiece<'static>,
    /// One row per token, each byte an `i8`.
    rows: &'static [[u8; DIMENSION]],
    /// What one step of a row is worth: its quantization step times the weight of the token.
    scales: Vec<f32>,
}

/// What has to be equal for two vectors to be comparable.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Name of the model.
    pub name: String,
    /// Version of the model; changes with the splitter, the spelling or the weights.
    pub version: String,
    /// Length of a vector.
    pub dimension: usize,
    /// BLAKE3 of weights and vocabulary, in hexadecimal.
    pub weights_hash: String,
}

/// Why the weights cannot be used. They are compiled in, so each of these is a mistake in the
/// build.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The weights are not in the safetensors format, or lack a tensor.
    #[error(
        "weights of the built-in model cannot be read; make them again with the recipe in `model/`"
    )]
    Format(#[from] SafeTensorError),
    /// A tensor has another type or shape than the model.
    #[error(
        "tensor `{tensor}` of the built-in model is {dtype} {shape:?}, expected {expected}; \
         make the weights again with the recipe in `model/`"
    )]
    Tensor {
        /// Name of the tensor.
        tensor: &'static str,
        /// Type that was found.
        dtype: Dtype,
        /// Shape that was found.
        shape: Vec<usize>,
        /// Type and shape that the model has.
        expected: String,
    },
}

impl StaticModel {
    /// Loads the model that is compiled in. Takes a few milliseconds: load it once and share it.
    pub fn builtin() -> Result<Self, LoadError> {
        Self::load(WEIGHTS, VOCABULARY)
    }

    fn load(weights: &'static [u8], vocabulary: &'static str) -> Result<Self, LoadError> {
        let count = vocabulary.lines().count();
        let tensors = SafeTensors::deserialize(weights)?;
        let rows = tensor(&tensors, "vectors", Dtype::I8, &[count, DIMENSION])?.data();
        let scales = tensor(&tensors, "scales", Dtype::F32, &[count])?.data();
        Ok(Self {
            identity: Identity {
                name: "codebase-mcp-static".to_owned(),
                version: "1".to_owned(),
                dimension: DIMENSION,
                weights_hash: hash(weights, vocabulary),
            },
            pieces: WordPiece::new(vocabulary),
            rows: rows.as_chunks().0,
            scales: scales.as_chunks().0.iter().copied().map(f32::from_le_bytes).collect(),
        })
    }

    /// What identifies the vectors of this model.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Embeds `text` as a vector of length one, the same on every machine. Returns `None` when no
    /// word of the text is known. Only the first [`MAX_TOKENS`] tokens count.
    pub fn embed(&self, text: &str) -> Option<Vec<f32>> {
        let mut tokens = self.tokens(text);
        // In order, so that equal tokens are neighbors.
        tokens.sort_unstable();
        let mut sum = [0.0; DIMENSION];
        for repeats in tokens.chunk_by(u32::eq) {
            let token = *repeats.first()? as usize;
            let (row, scale) = (self.rows.get(token)?, self.scales.get(token)?);
            add_scaled(&mut sum, row, scale * diminished(repeats.len()));
        }
        normalized(&sum)
    }

    fn tokens(&self, text: &str) -> Vec<u32> {
        let mut tokens = Vec::with_capacity(MAX_TOKENS);
        let mut words = Words::new(text);
        while tokens.len() < MAX_TOKENS
            && let Some(word) = words.next_word()
        {
            self.pieces.split(word, &mut tokens);
        }
        tokens.truncate(MAX_TOKENS);
        tokens
    }
}

fn tensor(
    tensors: &SafeTensors<'static>,
    name: &'static str,
    dtype: Dtype,
    shape: &[usize],
) -> Result<TensorView<'static>, LoadError> {
    let tensor = tensors.tensor(name)?;
    if tensor.dtype() == dtype && tensor.shape() == shape {
        return Ok(tensor);
    }
    Err(LoadError::Tensor {
        tensor: name,
        dtype: tensor.dtype(),
        shape: tensor.shape().to_vec(),
        expected: format!("{dtype} {shape:?}"),
    })
}

fn hash(weights: &[u8], vocabulary: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(weights).update(vocabulary.as_bytes());
    hasher.finalize().to_hex().to_string()
}

/// The weight of a token that occurs `times` in a text: 1 + 1/2 + 1/3 + ... A word repeated in
/// every line tells little more than one said twice. Unlike a logarithm, this sum is the same on
/// every platform.
fn diminished(times: usize) -> f32 {
    (1_u16..).take(times).map(|nth| f32::from(nth).recip()).sum()
}

fn add_scaled(sum: &mut [f32; DIMENSION], row: &[u8; DIMENSION], scale: f32) {
    for (sum, value) in sum.iter_mut().zip(row) {
        *sum += scale * f32::from(value.cast_signed());
    }
}

fn normalized(sum: &[f32; DIMENSION]) -> Option<Vec<f32>> {
    let length = sum.iter().map(|value| value * value).sum::<f32>().sqrt();
    (length > 0.0).then(|| sum.iter().map(|value| value / length).collect())
}

#[cfg(test)]
mod tests;
