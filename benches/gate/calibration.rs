//! How fast the machine is at the moment: work that has nothing of the product in it, so that it takes longer only
//! where everything does.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

use crate::benchmark::Kernel;
use crate::slices;

/// How long slices are taken.
const TIME: Duration = Duration::from_millis(60);

/// The multiplier of Knuth's MMIX generator.
const MULTIPLIER: u64 = 6_364_136_223_846_793_005;

/// A class of work, and the calibration that stands for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Calibration {
    /// Arithmetic, branches and atomics on what is in the nearest cache
    Cpu,
    /// Strings that are allocated and copied, and pointers that lead through the second cache
    Memory,
}

/// What a calibration found.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Speed {
    /// Nanoseconds of an iteration.
    median_ns: Option<f64>,
}

/// Does the work of `class` for [`TIME`].
pub(crate) fn calibrate(class: Calibration) -> Speed {
    let mut kernel = match class {
        Calibration::Cpu => cpu(),
        Calibration::Memory => memory(),
    };
    Speed { median_ns: slices::take(&mut kernel, TIME).median() }
}

/// An iteration: a walk through 4 KiB.
fn cpu() -> Kernel {
    let mut values: Vec<u64> = (0..512_u64).map(|at| at.wrapping_mul(MULTIPLIER)).collect();
    let total = AtomicU64::new(0);
    Kernel::repeating(move || {
        let mut state = 1_u64;
        for value in &mut values {
            state = state.wrapping_mul(MULTIPLIER) ^ (*value >> 29);
            if value.is_multiple_of(4) {
                total.fetch_add(state & 0xff, Ordering::Relaxed);
            }
            // Even steps keep the low bits, and with them the branches, as they are.
            *value = value.wrapping_add(state << 2);
        }
        total.load(Ordering::Relaxed)
    })
}

/// Places of the table that is walked: 512 KiB, so that it stays in the second cache as what the benchmarks work on
/// does. The third one is shared with whoever else is on the host; a walk through 8 MiB takes from 1.2 to 4.6 µs from one
/// minute to the next, while no benchmark changes by more than some percent.
const PLACES: usize = 128 * 1024;
/// Steps through the table in an iteration.
const STEPS: usize = 64;
/// Strings of an iteration.
const STRINGS: usize = 32;

/// An iteration: [`STEPS`] steps, each to where the last one leads, and [`STRINGS`] strings of 40 to 350 bytes.
fn memory() -> Kernel {
    let table = round_trip();
    let text = "a text that is copied ".repeat(16);
    let mut place = 0;
    Kernel::repeating(move || {
        for _ in 0..STEPS {
            place = table.get(place).map_or(0, |next| *next as usize);
        }
        let strings = (0..STRINGS).map(|nth| text.get(..40 + 10 * nth).unwrap_or_default());
        let strings: Vec<String> = strings.map(|text| black_box(text).to_owned()).collect();
        (place, black_box(strings).concat())
    })
}

/// For each place the next one, so that a walk comes to all of them in an order that no prefetcher guesses. Sattolo's
/// shuffle, which leaves a single cycle.
#[expect(clippy::cast_possible_truncation, reason = "there are fewer than 2^32 places")]
fn round_trip() -> Vec<u32> {
    let mut table: Vec<u32> = (0..PLACES as u32).collect();
    let mut state = 1_u64;
    for last in (1..PLACES).rev() {
        state = state.wrapping_mul(MULTIPLIER).wrapping_add(1);
        table.swap(last, (state >> 33) as usize % last);
    }
    table
}
