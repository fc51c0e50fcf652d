//! `scenarios doctor`

use super::output::{BAD, GOOD, say, styled};
use super::{CliError, UNAVAILABLE};
use codebase_mcp::config::Environment;

use crate::stack::{self, Availability, Wanted};

pub(super) async fn run() -> Result<u8, CliError> {
    let data = Environment::of_process().data_folder().ok_or_else(|| {
        CliError::Unavailable("there is no data folder; set HOME or XDG_DATA_HOME".to_owned())
    })?;
    let found = stack::probe(&Wanted::new(&data)).await;
    for Availability { provider, usable, detail } in &found {
        let state = if *usable { styled(GOOD, "ok     ") } else { styled(BAD, "missing") };
        say(format_args!("{state}  PostgreSQL by {provider}: {detail}"))?;
    }
    let any = found.iter().any(|availability| availability.usable);
    Ok(if any { 0 } else { UNAVAILABLE })
}
