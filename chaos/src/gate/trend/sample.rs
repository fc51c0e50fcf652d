//! A history for tests: sixty nights of fourteen benchmarks on one kind of machine, calculated from a seed. Two
//! of them change: `pool/acquire/8` gets slower, and `embed/long` faster.

use chrono::{DateTime, Duration, Utc};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::history::Row;

const SEED: u64 = 42;
pub(super) const NIGHTS: u32 = 60;
/// The night from which `pool/acquire/8` takes 11 % longer, and needs 9 % more instructions.
pub(super) const SLOWER: u32 = 47;
/// The night from which `embed/long` takes 18 % less.
pub(super) const FASTER: u32 = 21;

/// Name, p10 in nanoseconds, instructions.
const BENCHMARKS: [(&str, f64, Option<f64>); 14] = [
    ("pool/acquire/1", 412.0, Some(3_120.0)),
    ("pool/acquire/8", 498.0, Some(3_610.0)),
    ("pool/acquire/64", 1_730.0, None),
    ("pool/release", 96.4, Some(702.0)),
    ("pool/snapshot", 8.4, Some(61.0)),
    ("pool/timeout", 3_240.0, None),
    ("embed/short", 1_840_000.0, Some(14_300_000.0)),
    ("embed/long", 21_600_000.0, Some(171_000_000.0)),
    ("index/split/rust", 186_000.0, Some(1_420_000.0)),
    ("index/split/python", 143_000.0, Some(1_080_000.0)),
    ("index/hash", 5_210.0, Some(40_800.0)),
    ("mcp/parse", 2_870.0, Some(21_900.0)),
    ("mcp/answer", 6_450.0, Some(48_700.0)),
    ("search/merge", 11_900.0, None),
];

/// The history, the oldest night first.
pub(super) fn rows() -> Vec<Row> {
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let first: DateTime<Utc> = "2026-09-24T03:00:11Z".parse().unwrap();
    let mut rows = Vec::new();
    for night in 0..NIGHTS {
        let revision = format!("{:032x}{:08x}", random.random::<u128>(), night);
        for (benchmark, usual, instructions) in BENCHMARKS {
            let (time, count) = match benchmark {
                "pool/acquire/8" if night >= SLOWER => (1.11, 1.09),
                "embed/long" if night >= FASTER => (0.82, 0.79),
                _ => (1.0, 1.0),
            };
            let noise = (0..12).map(|_| random.random_range(-0.5..0.5)).sum::<f64>() * 0.014;
            // One night in thirty something else runs on the machine.
            let burst =
                if random.random_ratio(1, 30) { random.random_range(0.02..0.08) } else { 0.0 };
            let p10 = usual * time * (1.0 + noise + burst);
            rows.push(Row {
                started_at: first + Duration::days(night.into()),
                revision: revision.clone(),
                class: "x86_64-amd-epyc-7763-2cpu-rustc-1.95".to_owned(),
                benchmark: benchmark.to_owned(),
                unit: "ns".to_owned(),
                mean: p10 * (1.08 + 2.0 * burst),
                median: p10 * 1.05,
                p10,
                instructions: instructions.map(|usual| crate::report::number::whole(usual * count)),
            });
        }
    }
    rows
}
