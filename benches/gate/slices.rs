//! Timing a kernel in short slices, of which the least disturbed ones are what the work takes.

use std::hint::black_box;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use crate::benchmark::Kernel;

/// Until caches, branch predictors and the processor's clock have settled.
const WARM_UP: Duration = Duration::from_millis(10);

/// The shortest slice: thousands of times what reading the clock takes, and short enough that most slices of a busy
/// machine are not interrupted.
const SLICE: Duration = Duration::from_micros(150);

/// Places of the stack that are tried.
const DEPTHS: u32 = 64;

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Slices {
    /// Iterations in each slice.
    iterations: u64,
    /// Nanoseconds of an iteration, slice by slice.
    slices_ns: Vec<f64>,
}

impl Slices {
    /// The middle slice; of an even number the upper of the two.
    pub(crate) fn median(&self) -> Option<f64> {
        let mut sorted = self.slices_ns.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied()
    }
}

/// Warms the kernel up and takes slices for `time`, one at least.
pub(crate) fn take(kernel: &mut Kernel, time: Duration) -> Slices {
    let iterations = iterations_for(kernel);
    let mut slices_ns = Vec::new();
    let began = Instant::now();
    for depth in depths() {
        slices_ns.push(per_iteration(timed_below(kernel, iterations, depth), iterations));
        if began.elapsed() >= time {
            break;
        }
    }
    Slices { iterations, slices_ns }
}

/// How far down the stack to begin, slice by slice: [`DEPTHS`] steps of about 100 bytes, far apart, so that few slices
/// are spread as well.
///
/// Work of a hundred nanoseconds is up to 8 % slower where its stack and its heap meet in the lower bits of their
/// addresses, and where the stack of a process begins is drawn anew each time. Over all depths that is the same for
/// every process.
pub(crate) fn depths() -> impl Iterator<Item = u32> {
    (0..DEPTHS).map(|slice| slice * 29 % DEPTHS).cycle()
}

fn timed(kernel: &mut Kernel, iterations: u64) -> Duration {
    let started = Instant::now();
    kernel.run(iterations);
    started.elapsed()
}

/// The time of so many iterations, so many frames further down the stack.
#[inline(never)]
pub(crate) fn timed_below(kernel: &mut Kernel, iterations: u64, depth: u32) -> Duration {
    let frame = black_box([depth; 8]);
    let took = match depth.checked_sub(1) {
        Some(depth) => timed_below(kernel, iterations, depth),
        None => timed(kernel, iterations),
    };
    black_box(frame);
    took
}

/// How many iterations take [`SLICE`] even when nothing disturbs them. A power of two, so that two processes that
/// measure the same hardly ever choose differently.
fn iterations_for(kernel: &mut Kernel) -> u64 {
    let mut iterations = 1;
    let began = Instant::now();
    while began.elapsed() < WARM_UP {
        if timed(kernel, iterations) < SLICE {
            iterations *= 2;
        }
    }
    iterations
}

/// Nanoseconds.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn per_iteration(took: Duration, iterations: u64) -> f64 {
    took.as_secs_f64() * 1e9 / iterations as f64
}
