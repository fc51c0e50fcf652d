//! Scenarios.

use std::fs;
use std::path::Path;

use chaos::schema::{Overrides, read};

use crate::benchmark::{Kernel, Prepared};
use crate::inputs::{FAULTS, SCENARIO};

/// An iteration: a scenario is read and checked, with the files of its faults.
pub(crate) fn compile() -> Prepared {
    let faults = tempfile::tempdir()?;
    for (name, text) in FAULTS {
        fs::write(faults.path().join(name), text)?;
    }
    let compile =
        move || read(Path::new("recovery.yaml"), SCENARIO, faults.path(), &Overrides::default());
    compile()?;
    Ok(Kernel::repeating(compile))
}
