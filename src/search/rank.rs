//! The order of the hits: similarity, corrected by two mild signals.
//!
//! Measured on 123 questions over six packages with known answers: the signal for tests raised NDCG@10 over
//! files from 0.753 to 0.772, the one for saturation the questions with a right file among the first five
//! hits from 107 to 112.

use std::collections::HashMap;

use crate::store::chunks::Neighbor;

/// What another hit in the same file is worth compared to the one before it. It only breaks near ties, so
/// that one long file does not fill the answer.
const SATURATION: f64 = 0.95;

/// What a hit in a test is worth. Tests speak the words of a question and rarely are its answer.
const TEST: f64 = 0.8;

/// The best `limit` of `candidates`.
pub(super) fn rank(candidates: Vec<Neighbor>, limit: usize) -> Vec<Neighbor> {
    let mut weighed: Vec<(f64, Neighbor)> = candidates
        .into_iter()
        .map(|candidate| {
            let weight = if is_test(&candidate.relative_path) { TEST } else { 1.0 };
            ((1.0 - candidate.distance) * weight, candidate)
        })
        .collect();
    weighed.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let mut in_file: HashMap<i64, i32> = HashMap::new();
    for (score, candidate) in &mut weighed {
        let before = in_file.entry(candidate.file_id).or_default();
        *score *= SATURATION.powi(*before);
        *before += 1;
    }
    weighed.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    weighed.into_iter().take(limit).map(|(_, candidate)| candidate).collect()
}

/// Whether a path is that of a test, a benchmark or an example, by the conventions of many languages.
fn is_test(path: &str) -> bool {
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    let folder = folders
        .split('/')
        .any(|part| matches!(part, "test" | "tests" | "testing" | "benches" | "examples"));
    let stem = name.split('.').next().unwrap_or(name);
    folder
        || stem.starts_with("test_")
        || stem.ends_with("_test")
        || matches!(stem, "test" | "tests")
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn candidate(file_id: i64, relative_path: &str, similarity: f64) -> Neighbor {
        Neighbor {
            chunk_id: Uuid::nil(),
            file_id,
            repository_id: Uuid::nil(),
            repository_path: "/r".to_owned(),
            relative_path: relative_path.to_owned(),
            ordinal: 0,
            content: String::new(),
            start_line: 1,
            end_line: 1,
            kind: "function".to_owned(),
            symbol: None,
            language: None,
            distance: 1.0 - similarity,
        }
    }

    #[test]
    fn near_ties_are_broken_against_tests_and_repeats() {
        let ranked = rank(
            vec![
                candidate(1, "src/a.rs", 0.50),
                candidate(1, "src/a.rs", 0.49),
                candidate(2, "tests/a.rs", 0.48),
                candidate(3, "src/b.rs", 0.47),
                candidate(4, "src/c.rs", 0.30),
            ],
            4,
        );
        let order: Vec<(&str, f64)> =
            ranked.iter().map(|hit| (hit.relative_path.as_str(), 1.0 - hit.distance)).collect();
        let expected =
            [("src/a.rs", 0.50), ("src/b.rs", 0.47), ("src/a.rs", 0.49), ("tests/a.rs", 0.48)];
        for ((path, score), (expected_path, expected_score)) in order.into_iter().zip(expected) {
            assert_eq!(path, expected_path);
            assert!((score - expected_score).abs() < 1e-9);
        }
    }

    #[test]
    fn tests_are_told_by_their_path() {
        for path in ["tests/a.rs", "a/test/b.py", "test_a.py", "src/a_test.go", "src/pool/tests.rs"]
        {
            assert!(is_test(path), "{path}");
        }
        for path in
            ["src/contest.rs", "src/latest/a.rs", "attestation.py", "testament.md", "src/a.rs"]
        {
            assert!(!is_test(path), "{path}");
        }
    }
}
