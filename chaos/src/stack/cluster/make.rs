//! Making a cluster in its folder.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown};
use std::path::Path;
use std::time::Duration;

use codebase_mcp::postgres::{Account, Config, Installation};
use tokio::time::timeout;

use crate::stack::postgres::{SUPERUSER, last_lines};
use crate::stack::{Place, StackError, random};

/// How long `initdb` may take: about a second, and many on a busy machine.
const INIT: Duration = Duration::from_mins(1);
/// The PostgreSQL to run, and whom to run it as.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) installation: Installation,
    /// `None` stands for this process's own user.
    pub(super) account: Option<Account>,
}

impl Programs {
    /// Finds them; blocks.
    pub(super) fn find(config: &Config) -> Result<Self, StackError> {
        let installation = Installation::find(config)?;
        let account = Account::for_new(config.run_as.as_deref()).map_err(Box::new)?;
        Ok(Self { installation, account })
    }

    /// Why a program did not run.
    pub(super) fn refused(&self, name: &str, source: io::Error) -> StackError {
        let program = self.installation.program(name);
        let closed = self.account.as_ref().and_then(|account| {
            let folder = account.closed_folder(program.parent()?)?;
            Some(StackError::Closed { user: account.name.clone(), folder })
        });
        closed.unwrap_or(StackError::Program { program, source })
    }
}

/// Makes the cluster in its folder; returns the superuser's password.
pub(super) async fn init(place: &Place, programs: &Programs) -> Result<String, StackError> {
    let folder = place.path();
    let (password, data) = (random::password(), folder.join("data"));
    let secret = folder.join("password");
    prepare(folder, &data, &secret, &password, programs)?;
    let mut command = programs.command("initdb", place);
    command
        .args(["--pgdata=data", "--pwfile=password", "--auth=scram-sha-256", "--encoding=UTF8"])
        .args(["--locale=C.UTF-8", "--no-instructions", "--no-sync"])
        .arg(format!("--username={SUPERUSER}"))
        .kill_on_drop(true);
    let output = match timeout(INIT, command.output()).await {
        Ok(output) => output.map_err(|source| programs.refused("initdb", source))?,
        Err(_elapsed) => return Err(StackError::Init { waited: INIT, log: String::new() }),
    };
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        let log = last_lines(&String::from_utf8_lossy(&said));
        return Err(StackError::Init { waited: INIT, log });
    }
    fs::remove_file(&secret).map_err(|source| StackError::Folder { path: secret, source })?;
    Ok(password)
}

/// Makes what `initdb` needs, owned by the server's user.
fn prepare(
    folder: &Path,
    data: &Path,
    secret: &Path,
    password: &str,
    programs: &Programs,
) -> Result<(), StackError> {
    let made = || -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(data)?;
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(secret)?;
        writeln!(file, "{password}")?;
        if let Some(account) = &programs.account {
            for path in [data, secret] {
                chown(path, Some(account.uid), Some(account.gid))?;
            }
        }
        Ok(())
    };
    made().map_err(|source| StackError::Folder { path: folder.to_owned(), source })?;
    let closed = programs.account.as_ref().and_then(|account| {
        Some(StackError::Closed {
            user: account.name.clone(),
            folder: account.closed_folder(folder)?,
        })
    });
    closed.map_or(Ok(()), Err)
}

/// The arguments by which a server works in `folder` and nowhere else. They come last and win.
pub(super) fn fixed_arguments(folder: &Path, port: u16) -> Vec<String> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let port = format!("port={port}");
    let cluster_name = format!("cluster_name={name}");
    let settings = [
        "listen_addresses=127.0.0.1",
        &port,
        // Shown in the names of all its processes.
        &cluster_name,
        // The path of a socket could be too long, and nobody needs one.
        "unix_socket_directories=",
        // In the folder, so that it goes with it.
        "dynamic_shared_memory_type=mmap",
        "logging_collector=off",
    ];
    let fixed = settings.iter().flat_map(|setting| ["-c".to_owned(), (*setting).to_owned()]);
    let data = folder.join("data").to_string_lossy().into_owned();
    ["-D".to_owned(), data].into_iter().chain(fixed).collect()
}
