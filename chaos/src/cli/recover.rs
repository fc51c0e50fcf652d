//! `scenarios recover`

use std::path::PathBuf;

use super::CliError;
use super::files;
use super::output::{FAINT, GOOD, error, say, styled};
use crate::journal;
use crate::run::settle;

/// Whose leftovers.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Where the journals are, if `run` was told so; the default is in the data folder
    #[arg(long, value_name = "DIR")]
    journals: Option<PathBuf>,
}

pub(super) async fn run(arguments: &Arguments) -> Result<u8, CliError> {
    let (mut undone, mut failed, mut alive) = (0, 0, 0);
    for found in journal::find(&files::journals(arguments.journals.as_deref())?)? {
        if found.alive {
            alive += 1;
            continue;
        }
        for (entry, outcome) in settle(found).await? {
            match outcome {
                Ok(()) => {
                    undone += 1;
                    say(format_args!("{} {entry}", styled(GOOD, "undone")))?;
                }
                Err(why) => {
                    failed += 1;
                    error(&format_args!("{entry}: {}", why.whole()));
                }
            }
        }
    }
    if alive > 0 {
        say(styled(FAINT, format_args!("{alive} running; what they began is theirs to undo")))?;
    }
    if undone + failed == 0 {
        say("nothing to undo")?;
    } else {
        say(format_args!("{undone} undone, {failed} failed"))?;
    }
    Ok(u8::from(failed > 0))
}
