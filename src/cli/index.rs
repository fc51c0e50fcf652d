//! `index`: brings a repository's index up to date and says what it left out.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::output::{BAD, FAINT, GOOD, STRONG, counted, duration, styled};
use super::signals::stop_on_signal;
use super::{CliError, build};
use crate::app::App;
use crate::config::Config;
use crate::index::Root;
use crate::jobs::{JobState, JobStatus, Request};
use crate::store::files::{self, LeftOut};

/// How many files that were left out are shown; JSON lists all.
const LISTED: i64 = 20;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The repository's folder
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Id or name of the project [default: the default project]
    #[arg(long)]
    project: Option<String>,
    /// Index files again although they have not changed
    #[arg(long)]
    force: bool,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: &Arguments, config: &Config) -> Result<(), CliError> {
    // A person at a prompt means the folder relative to where they are.
    let path = std::path::absolute(&arguments.path)?;
    let root = Root::resolve(&path).map_err(CliError::failed)?;
    let app = build(config).await?;
    let stop = stop_on_signal()?;
    let outcome = tokio::select! {
        outcome = index(arguments, &app, &root) => outcome,
        () = stop.cancelled() => {
            {
            let said = "interrupted; what was indexed stays, run it again to go on";
            Err(CliError::Failed(said.to_owned()))
        }
        }
    };
    app.shutdown().await;
    outcome
}

async fn index(arguments: &Arguments, app: &App, root: &Root) -> Result<(), CliError> {
    let services = app.services();
    let project =
        services.projects.resolve(arguments.project.as_deref()).await.map_err(CliError::failed)?;
    let request = Request {
        project_id: project.id,
        repo_path: root.as_str().to_owned(),
        force_reindex: arguments.force,
    };
    let mut follow = services.jobs.follow(request).await.map_err(CliError::failed)?;
    let bar = progress_bar();
    let mut latest = None;
    while let Some(job) = follow.next().await.map_err(CliError::failed)? {
        show_progress(&bar, &job);
        latest = Some(job);
    }
    bar.finish_and_clear();
    let job = latest.ok_or_else(|| CliError::Failed("the job has no status".to_owned()))?;
    if job.status == JobState::Failed {
        let message = job.error_message.unwrap_or_default();
        return Err(CliError::Failed(message));
    }
    let mut lease = project.pool.acquire().await.map_err(CliError::failed)?;
    let listed = if arguments.json { i64::MAX } else { LISTED };
    let left_out =
        files::left_out(&mut lease, root.as_str(), listed).await.map_err(CliError::failed)?;
    if arguments.json { print_json(&job, &left_out) } else { print(root.path(), &job, &left_out) }
}

/// A bar on a terminal, nothing elsewhere.
fn progress_bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    let style =
        ProgressStyle::with_template("{spinner} {msg:10} {bar:30} {pos}/{len} files  {elapsed}")
            .expect("the template is valid");
    bar.set_style(style);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn show_progress(bar: &ProgressBar, job: &JobStatus) {
    bar.set_length(unsigned(job.files_scanned));
    bar.set_position(unsigned(job.files_done()));
    bar.set_message(job.phase.clone().unwrap_or_default());
}

fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

fn print(root: &Path, job: &JobStatus, left_out: &[LeftOut]) -> Result<(), CliError> {
    let mut out = anstream::stdout().lock();
    let files = |count: i64| counted(unsigned(count), "file");
    writeln!(
        out,
        "{} {} in {}",
        styled(GOOD, "indexed"),
        styled(STRONG, root.display()),
        duration(job.elapsed(chrono::Utc::now()))
    )?;
    writeln!(
        out,
        "  {} written as {}, {} unchanged, {} skipped, {} failed",
        files(job.files_indexed),
        counted(unsigned(job.chunks_created), "chunk"),
        job.files_unchanged,
        job.files_skipped,
        job.files_failed,
    )?;
    for file in left_out {
        let style = if file.outcome == "failed" { BAD } else { FAINT };
        writeln!(
            out,
            "  {} {}  {}",
            styled(style, &file.outcome),
            file.relative_path,
            styled(FAINT, &file.detail)
        )?;
    }
    let more = job.files_skipped + job.files_failed - i64::try_from(left_out.len()).unwrap_or(0);
    if more > 0 {
        writeln!(out, "  and {more} more; --json lists all")?;
    }
    Ok(())
}

fn print_json(job: &JobStatus, left_out: &[LeftOut]) -> Result<(), CliError> {
    let value = serde_json::json!({ "job": job, "left_out": left_out });
    let mut out = std::io::stdout().lock();
    writeln!(out, "{value}")?;
    Ok(())
}
