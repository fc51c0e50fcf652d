//! The protocol.

use std::error::Error;
use std::hint::black_box;
use std::time::Duration;

use codebase_mcp::mcp::{SearchOutput, tool_result};
use codebase_mcp::search::{Answer, Hit};
use codebase_mcp::store::files::Coverage;

use crate::benchmark::{Kernel, Prepared};
use crate::inputs::pieces;

const HITS: usize = 10;

/// Names something; which of all it is makes no difference.
const ID: &str = "5c1d7a52-3a0e-4f0e-9a53-0d9a3c1f6b2e";

/// An iteration: what `search_code` gives back for ten hits becomes the tool's result, and that the bytes which are
/// sent.
pub(crate) fn encode() -> Prepared {
    let coverage = Coverage { indexed: 1234, skipped: 56, failed: 0 };
    let answer = Answer { hits: hits()?, coverage };
    let took = Duration::from_millis(12);
    let output = SearchOutput::new(answer, ID.parse()?, "codebase_gate".to_owned(), took);
    Ok(Kernel::repeating(move || serde_json::to_vec(&tool_result(Ok(black_box(&output))))))
}

fn hits() -> Result<Vec<Hit>, Box<dyn Error>> {
    let pieces = pieces();
    // A hit is a piece between the last lines of the one before and the first lines of the one after.
    let hit = |(three, number): (&[String], i32)| {
        let [before, content, after] = three else { return Err("a window of three".into()) };
        Ok(Hit {
            chunk_id: ID.parse()?,
            repository_id: ID.parse()?,
            repository_path: "/home/gate/projects/cache".to_owned(),
            file_path: "src/storage/cache.rs".to_owned(),
            content: content.clone(),
            start_line: 30 * number + 1,
            end_line: 30 * number + 30,
            kind: "function".to_owned(),
            symbol: Some("impl Inner<K, V> > link_newest".to_owned()),
            language: Some("rust".to_owned()),
            similarity_score: 0.9 - 0.037 * f64::from(number),
            context_before: before.split_inclusive('\n').skip(20).collect(),
            context_after: after.split_inclusive('\n').take(10).collect(),
        })
    };
    pieces.windows(3).zip(1..).take(HITS).map(hit).collect()
}
