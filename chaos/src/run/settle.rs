//! Undoing what a journal still holds: of this runner when it cannot otherwise, of killed runners when it is
//! asked to.

use std::io;

use crate::journal::{Found, Journal, Undo};
use crate::stack::{self, StackError};

/// Undoes what is open in a journal, the latest first, and removes the journal if all of it is undone. Says of each
/// entry what came of it.
///
/// # Errors
/// When the journal itself cannot be removed.
///
/// # Cancel safety
/// What was undone is undone; the journal stays.
pub async fn settle(found: Found) -> io::Result<Vec<(Undo, Result<(), StackError>)>> {
    let mut told = Vec::new();
    for undo in &found.open {
        told.push((undo.clone(), stack::undo(undo).await));
    }
    if told.iter().all(|(_, undone)| undone.is_ok()) {
        found.remove()?;
    }
    Ok(told)
}

/// The same for the runner's own journal at the end of a run, when mostly nothing is open.
///
/// # Errors
/// What is left, for people.
pub(super) async fn settle_own(journal: Journal) -> Result<(), String> {
    let unusable = |error: io::Error| format!("the journal cannot be closed: {error}");
    let told = settle(journal.look().map_err(unusable)?).await.map_err(unusable)?;
    let left: Vec<String> = told
        .into_iter()
        .filter_map(|(undo, undone)| Some(format!("{undo}: {}", undone.err()?.whole())))
        .collect();
    if left.is_empty() {
        return Ok(());
    }
    Err(format!(
        "not everything could be undone; `scenarios recover` tries again: {}",
        left.join("; ")
    ))
}
