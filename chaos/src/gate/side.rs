//! What a build is compared with: the revisions of the baselines, or one that the command line names.

use super::baseline::{Baseline, Kind, Shelf};
use super::class::Class;
use super::error::GateError;
use super::model::Against;
use super::repository::{Commit, Repository, Tree};
use super::run::Options;

/// A revision to compare with.
pub(super) struct Side {
    pub(super) kind: Option<Kind>,
    pub(super) commit: Commit,
    pub(super) limit: f64,
    /// Stored times of this class of machine.
    pub(super) stored: Option<Baseline>,
    /// Stored counts of instructions of another class, which has the same.
    counts: Option<Baseline>,
}

/// What to compare with: the revision that was named, or those of the baselines. On a machine of an unknown class that
/// is the revision that was accepted last on any other.
pub(super) fn sides(
    options: &Options,
    class: &Class,
    repository: &Repository,
) -> Result<Vec<Side>, GateError> {
    let shelf = Shelf::of(&options.root);
    let mut sides: Vec<Side> = Vec::new();
    if let Some(base) = &options.base {
        let (commit, limit) = (repository.commit(base)?, Kind::Rolling.limit());
        return Ok(vec![Side { kind: None, commit, limit, stored: None, counts: None }]);
    }
    for kind in Kind::ALL {
        let stored = shelf.get(class, kind)?;
        let mut others = shelf.all(kind)?;
        let Some(commit) = stored.as_ref().or(others.last()).map(measured) else { continue };
        // The limit of the first one is the stricter one.
        if sides.iter().any(|side| side.commit.tree == commit.tree) {
            continue;
        }
        others.retain(|it| it.tree == commit.tree.0 && it.class.has_instructions_of(class));
        sides.push(Side {
            kind: Some(kind),
            commit,
            limit: kind.limit(),
            stored,
            counts: others.pop(),
        });
    }
    if sides.is_empty() {
        return Err(GateError::NoBaseline { folder: options.root.join("baselines") });
    }
    Ok(sides)
}

/// What a baseline was measured of. It need not be in this clone: as long as nothing is suspect, or it was built
/// before, it is not asked for.
fn measured(baseline: &Baseline) -> Commit {
    Commit { id: baseline.revision.clone(), tree: Tree(baseline.tree.clone()) }
}

impl Side {
    pub(super) fn told(&self) -> Against {
        Against { kind: self.kind, revision: self.commit.id.clone(), stored: self.stored.is_some() }
    }

    pub(super) fn instructions(&self, benchmark: &str) -> Option<f64> {
        let of = |baseline: &Option<Baseline>| {
            baseline.as_ref()?.benchmarks.get(benchmark)?.instructions
        };
        of(&self.stored).or_else(|| of(&self.counts))
    }
}
