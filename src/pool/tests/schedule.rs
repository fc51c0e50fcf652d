//! Points at which a model checker may let another thread run.

use std::cell::Cell;

thread_local! {
    static MODELLED: Cell<bool> = const { Cell::new(false) };
}

/// Nothing, outside a model.
pub(in crate::pool) fn point() {
    if MODELLED.get() {}
}
