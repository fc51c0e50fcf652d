//! An acquire that is slower on demand, so that the regression gate can be shown to fail on a real slowdown.
//!
//! Behind the feature `slow-acquire`, which no build that is shipped has: nothing enables it but the gate's test of
//! itself.

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};

/// Steps that each acquire wastes.
static STEPS: AtomicU32 = AtomicU32::new(0);

/// Makes each acquire that is served at once slower by `steps` of about 1 ns, in all pools of the process. 0, as
/// at the start, wastes nothing.
pub fn set_slowness(steps: u32) {
    STEPS.store(steps, Ordering::Relaxed);
}

/// Takes as long as was asked for. Every step needs the outcome of the one before, so no processor does two at
/// once.
pub(super) fn waste() {
    let steps = STEPS.load(Ordering::Relaxed);
    let mut value: u64 = black_box(1);
    for _ in 0..steps {
        // The multiplier of Knuth's MMIX generator; the rotation keeps compilers from folding the chain.
        value = value.wrapping_mul(6_364_136_223_846_793_005).rotate_left(1);
    }
    black_box(value);
}
