//! The base model: MiniLM, a BERT encoder of six layers and 384 dimensions.
//!
//! It runs in double precision, which the ready-made BERT of the tensor library does not offer: the
//! rounding that differs from one processor to the next is then far below one step of the quantized
//! weights, and every machine makes the same file.

use std::path::Path;

use candle_core::{D, DType, Device, Tensor};
use candle_nn::{Embedding, Linear, Module, VarBuilder, ops::layer_norm_slow, ops::softmax};
use nalgebra::DMatrix;

use crate::Error;

/// The shape of MiniLM-L6; its tensors fit no other.
const VOCABULARY: usize = 30_522;
const POSITIONS: usize = 512;
const SEGMENTS: usize = 2;
const HIDDEN: usize = 384;
const INTERMEDIATE: usize = 1_536;
const LAYERS: usize = 6;
const HEADS: usize = 12;
const HEAD_SIZE: u16 = 32;
const NORM_EPSILON: f32 = 1e-12;

/// The tokens that the encoder was trained to see before and after every text.
const CLS: u32 = 101;
const SEP: u32 = 102;

/// Texts encoded at once.
const BATCH: usize = 512;

/// The encoder, read from a folder with `model.safetensors`.
pub(crate) struct Encoder {
    words: Embedding,
    /// What the first three positions add to every text.
    positions: Tensor,
    norm: Norm,
    layers: Vec<Layer>,
}

struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    attention: Linear,
    attention_norm: Norm,
    intermediate: Linear,
    output: Linear,
    output_norm: Norm,
}

struct Norm {
    weight: Tensor,
    bias: Tensor,
}

impl Encoder {
    pub(crate) fn load(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("model.safetensors");
        let bytes = std::fs::read(&path).map_err(|source| Error::Read { path, source })?;
        let tensors = VarBuilder::from_buffered_safetensors(bytes, DType::F64, &Device::Cpu)?;

        let embeddings = tensors.pp("embeddings");
        let positions = embeddings.get((POSITIONS, HIDDEN), "position_embeddings.weight")?;
        let segments = embeddings.get((SEGMENTS, HIDDEN), "token_type_embeddings.weight")?;
        let layers = tensors.pp("encoder.layer");
        Ok(Self {
            words: candle_nn::embedding(VOCABULARY, HIDDEN, embeddings.pp("word_embeddings"))?,
            positions: positions.narrow(0, 0, 3)?.broadcast_add(&segments.get(0)?)?,
            norm: Norm::load(&embeddings.pp("LayerNorm"))?,
            layers: (0..LAYERS).map(|n| Layer::load(&layers.pp(n))).collect::<Result<_, _>>()?,
        })
    }

    /// Encodes each token as a text of its own, `[CLS] token [SEP]`. A row of the result is the
    /// mean of the three output vectors, as sentence-transformers pools this model.
    pub(crate) fn token_vectors(&self, tokens: &[u32]) -> Result<DMatrix<f64>, Error> {
        let mut vectors = Vec::with_capacity(tokens.len() * HIDDEN);
        for batch in tokens.chunks(BATCH) {
            let texts: Vec<u32> = batch.iter().flat_map(|token| [CLS, *token, SEP]).collect();
            let texts = Tensor::from_vec(texts, (batch.len(), 3), &Device::Cpu)?;
            vectors.extend(self.encode(&texts)?.mean(1)?.flatten_all()?.to_vec1::<f64>()?);
            tracing::info!(done = vectors.len() / HIDDEN, of = tokens.len(), "tokens encoded");
        }
        Ok(DMatrix::from_row_slice(tokens.len(), HIDDEN, &vectors))
    }

    fn encode(&self, texts: &Tensor) -> candle_core::Result<Tensor> {
        let embedded = self.words.forward(texts)?.broadcast_add(&self.positions)?;
        let hidden = self.norm.forward(&embedded)?;
        self.layers.iter().try_fold(hidden, |hidden, layer| layer.forward(&hidden))
    }
}

impl Layer {
    fn load(tensors: &VarBuilder<'_>) -> candle_core::Result<Self> {
        let attention = tensors.pp("attention");
        let square = |name| candle_nn::linear(HIDDEN, HIDDEN, attention.pp(name));
        Ok(Self {
            query: square("self.query")?,
            key: square("self.key")?,
            value: square("self.value")?,
            attention: square("output.dense")?,
            attention_norm: Norm::load(&attention.pp("output.LayerNorm"))?,
            intermediate: candle_nn::linear(
                HIDDEN,
                INTERMEDIATE,
                tensors.pp("intermediate.dense"),
            )?,
            output: candle_nn::linear(INTERMEDIATE, HIDDEN, tensors.pp("output.dense"))?,
            output_norm: Norm::load(&tensors.pp("output.LayerNorm"))?,
        })
    }

    fn forward(&self, hidden: &Tensor) -> candle_core::Result<Tensor> {
        let attended = self.attention.forward(&self.attend(hidden)?)?;
        let hidden = self.attention_norm.forward(&(attended + hidden)?)?;
        let output = self.output.forward(&self.intermediate.forward(&hidden)?.gelu_erf()?)?;
        self.output_norm.forward(&(output + &hidden)?)
    }

    fn attend(&self, hidden: &Tensor) -> candle_core::Result<Tensor> {
        let (texts, length, _) = hidden.dims3()?;
        let heads = |linear: &Linear| {
            let states =
                linear.forward(hidden)?.reshape((texts, length, HEADS, usize::from(HEAD_SIZE)))?;
            states.transpose(1, 2)?.contiguous()
        };
        let scale = f64::from(HEAD_SIZE).sqrt().recip();
        let scores = (heads(&self.query)?.matmul(&heads(&self.key)?.t()?)? * scale)?;
        let context = softmax(&scores, D::Minus1)?.matmul(&heads(&self.value)?)?;
        context.transpose(1, 2)?.contiguous()?.reshape((texts, length, HIDDEN))
    }
}

impl Norm {
    fn load(tensors: &VarBuilder<'_>) -> candle_core::Result<Self> {
        Ok(Self { weight: tensors.get(HIDDEN, "weight")?, bias: tensors.get(HIDDEN, "bias")? })
    }

    /// The library's quick normalization knows no double precision.
    fn forward(&self, hidden: &Tensor) -> candle_core::Result<Tensor> {
        layer_norm_slow(hidden, &self.weight, &self.bias, NORM_EPSILON)
    }
}
