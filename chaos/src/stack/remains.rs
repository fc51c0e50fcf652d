//! Undoing what a runner has begun, by itself or after it was killed.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use super::processes::{Family, pause};
use super::{StackError, databases, place, sweep};
use crate::journal::Undo;

/// The file in which a PostgreSQL notes that it runs, in the folder of its data.
const PID_FILE: &str = "postmaster.pid";
/// How long a server may take to end by itself, which frees its shared memory.
const GENTLE: Duration = Duration::from_secs(5);
/// How often a folder is removed: a process that was about to be killed may still have written.
const TRIES: u32 = 5;
/// Between two of those.
const RETRY: Duration = Duration::from_millis(50);

/// Undoes one entry of a journal. What is not there any more is undone. Bounded: less than a minute,
/// unless the engine or a disk hangs.
///
/// # Errors
///
/// Something is left; another call tries again.
///
/// # Cancel safety
///
/// What was begun on a blocking thread goes on.
pub async fn undo(undo: &Undo) -> Result<(), StackError> {
    match undo.clone() {
        Undo::Containers { run } => sweep(&run).await,
        Undo::Place { folder } => blocking(move || clear(&folder)).await,
        Undo::Databases { url } => databases::drop_left(&url).await,
    }
}

/// Runs `work` on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StackError> + Send + 'static,
) -> Result<T, StackError> {
    tokio::task::spawn_blocking(work).await.map_err(|source| StackError::Interrupted { source })?
}

/// Ends everything that was started in a place, and removes it. Blocks.
pub(super) fn clear(folder: &Path) -> Result<(), StackError> {
    if !place::is_one(folder) {
        return Err(StackError::ForeignFolder { path: folder.to_owned() });
    }
    let family = Family::working_in(folder);
    let data = folder.join("data");
    // Only a PostgreSQL that ends by itself gives back its shared memory.
    let asked = data.join(PID_FILE).exists();
    if !asked || !family.ask_to_end(Signal::QUIT, GENTLE)? {
        family.kill()?;
    }
    free_memory(&data);
    remove_folder(folder)
}

fn remove_folder(folder: &Path) -> Result<(), StackError> {
    let mut tries = 0;
    loop {
        tries += 1;
        match fs::remove_dir_all(folder) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !folder.exists() => {
                return Ok(());
            }
            Err(_) if tries < TRIES => pause(RETRY),
            Err(source) => return Err(StackError::Folder { path: folder.to_owned(), source }),
        }
    }
}

/// Removes the piece of System V shared memory, of some bytes, that a killed server leaves in the
/// system until it starts again. The system has only some thousands of them.
fn free_memory(data: &Path) {
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    let table = read(Path::new("/proc/sysvipc/shm"));
    let Some(id) = abandoned(&read(&data.join(PID_FILE)), &table) else { return };
    let removed = Command::new("ipcrm")
        .args(["-m", &id.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    tracing::debug!(id, ?removed, "removed the shared memory of a killed PostgreSQL");
}

/// The id of the shared memory of the dead server that wrote `pid_file`, if nobody has it attached.
fn abandoned(pid_file: &str, table: &str) -> Option<i64> {
    // Negative of one that serves nobody, which `initdb` runs.
    let pid = pid_file.lines().next()?.trim().parse::<i64>().ok()?.abs();
    let id: i64 = pid_file.lines().nth(6)?.split_whitespace().nth(1)?.parse().ok()?;
    // The columns: key, id, permissions, size, its maker, its last user, how many have it attached.
    table.lines().skip(1).find_map(|line| {
        let mut row = line.split_whitespace().skip(1).map(str::parse::<i64>);
        let (found, maker) = (row.next()?.ok()?, row.nth(2)?.ok()?);
        let attached = row.nth(1)?.ok()?;
        (found == id && maker == pid && attached == 0).then_some(id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_memory_of_the_dead_server_is_abandoned() {
        let pid_file = "4711\n/data\n1\n5432\n\n127.0.0.1\n   537001    12\nready\n";
        let table = |id, maker, attached| {
            format!(
                "       key      shmid perms       size  cpid  lpid nattch   uid\n\
                 5         11   600  56  4711 4711  0  0\n\
                 537001    {id}   600  56  {maker} 4711  {attached}  0\n"
            )
        };
        assert_eq!(abandoned(pid_file, &table(12, 4711, 0)), Some(12));
        assert_eq!(abandoned(&format!("-{pid_file}"), &table(12, 4711, 0)), Some(12));
        assert_eq!(abandoned(pid_file, &table(13, 4711, 0)), None);
        assert_eq!(abandoned(pid_file, &table(12, 4712, 0)), None);
        assert_eq!(abandoned(pid_file, &table(12, 4711, 1)), None);
        assert_eq!(abandoned("4711\n", &table(12, 4711, 0)), None);
        assert_eq!(abandoned("", ""), None);
    }

    #[tokio::test]
    async fn folders_that_no_scenario_makes_are_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        let foreign = parent.path().join("other");
        fs::create_dir(&foreign).unwrap();
        for folder in [Path::new("/"), Path::new("/etc"), Path::new("cmcp-run-x"), &foreign] {
            let error = undo(&Undo::Place { folder: folder.to_owned() }).await;
            let error = error.unwrap_err().to_string();
            assert!(error.contains("is no folder that a scenario makes"), "{error}");
        }
        assert!(foreign.exists());
        let folder = parent.path().join("cmcp-run-x");
        fs::create_dir_all(folder.join("data")).unwrap();
        let ours = Undo::Place { folder: folder.clone() };
        undo(&ours).await.unwrap();
        assert!(!folder.exists());
        undo(&ours).await.unwrap();
    }
}
