//! Counting instructions, which `callgrind` does from outside:
//!
//! ```sh
//! valgrind --tool=callgrind --collect-atstart=no '--toggle-collect=gate::count::counted*' GATE count NAME
//! ```

use std::error::Error;

use serde::Serialize;

use crate::benchmark::{Benchmark, Kernel};

/// Iterations before those that are counted: what is made once, such as a thread's buffers, is there then.
const WARM_UP: u64 = 2;

/// What was counted.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Count {
    iterations: u64,
}

/// Runs the iterations of `benchmark` that are counted.
pub(crate) fn count(benchmark: &Benchmark) -> Result<Count, Box<dyn Error>> {
    let mut kernel = (benchmark.prepare)()?;
    kernel.run(WARM_UP);
    counted(&mut kernel, benchmark.counted);
    Ok(Count { iterations: benchmark.counted })
}

/// What callgrind counts, by this name.
#[inline(never)]
fn counted(kernel: &mut Kernel, iterations: u64) {
    kernel.run(iterations);
}
