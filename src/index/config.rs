//! The settings of indexing.

/// Which files are indexed and in which portions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// A larger file is skipped. Bytes, 1 KiB to 1 GiB.
    pub max_file_size: u64,
    /// A file with a longer line is taken for generated or minified and skipped. Bytes, 1 KiB to
    /// 10 MiB.
    pub max_line_length: usize,
    /// A longer piece of code is split. Bytes, 256 to 64 KiB.
    pub max_chunk_size: usize,
    /// Files written in one transaction: 1 to 1000.
    pub batch_size: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_file_size: 10 * 1024 * 1024,
            max_line_length: 64 * 1024,
            max_chunk_size: 1500,
            batch_size: 64,
        }
    }
}
