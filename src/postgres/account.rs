//! The user whom PostgreSQL runs as, since it refuses to run as root.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::ClusterError;
use super::layout::{self, Layout};

const PASSWD: &str = "/etc/passwd";
/// Tried in this order when no user is configured.
const DEFAULTS: [&str; 2] = ["postgres", "nobody"];

/// A user other than the one of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name, or its id where nobody asked for the name.
    pub name: String,
    /// The id of the user.
    pub uid: u32,
    /// The id of its first group.
    pub gid: u32,
}

/// Whom to run PostgreSQL as; `None` stands for this process's own user.
///
/// The owner of an existing cluster wins over `run_as`, as nobody else can open it.
pub(super) fn choose(
    run_as: Option<&str>,
    layout: &Layout,
) -> Result<Option<Account>, ClusterError> {
    let pgdata = layout.pgdata();
    let us = rustix::process::geteuid();
    let owner = layout.within(layout::owner(&pgdata))?;
    match owner {
        Some((uid, _)) if uid == us.as_raw() && !us.is_root() => Ok(None),
        Some((uid, gid)) if us.is_root() && uid != us.as_raw() => {
            Ok(Some(Account { name: format!("id {uid}"), uid, gid }))
        }
        Some((owner, _)) => Err(ClusterError::ForeignOwner { pgdata, owner, us: us.as_raw() }),
        None => Account::for_new(run_as),
    }
}

/// Finds the configured user, or else the first default one, in the text of /etc/passwd.
fn look_up(passwd: &str, run_as: Option<&str>) -> Result<Account, ClusterError> {
    let wanted = run_as.as_slice();
    let wanted = if wanted.is_empty() { &DEFAULTS } else { wanted };
    wanted
        .iter()
        .find_map(|name| passwd.lines().filter_map(parse).find(|user| user.name == *name))
        .ok_or_else(|| ClusterError::NoAccount { tried: wanted.join(" or ") })
}

/// Reads one line of /etc/passwd; root is not among the accounts.
fn parse(line: &str) -> Option<Account> {
    let mut fields = line.split(':');
    let name = fields.next()?.to_owned();
    let uid = fields.nth(1)?.parse().ok().filter(|&uid| uid != 0)?;
    let gid = fields.next()?.parse().ok()?;
    Some(Account { name, uid, gid })
}

impl Account {
    /// Whom to run a new cluster as; `None` stands for this process's own user. Reads /etc/passwd.
    ///
    /// # Errors
    ///
    /// This process is root, and there is no user `run_as`, or none of the default ones.
    pub fn for_new(run_as: Option<&str>) -> Result<Option<Self>, ClusterError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let passwd = fs::read_to_string(PASSWD)
            .map_err(|source| ClusterError::Folder { path: PathBuf::from(PASSWD), source })?;
        look_up(&passwd, run_as).map(Some)
    }

    /// The first folder on the way to `path`, itself included, that this user may not enter by its
    /// permission bits.
    pub fn closed_folder(&self, path: &Path) -> Option<PathBuf> {
        let path = fs::canonicalize(path).ok()?;
        let mut folders: Vec<&Path> = path.ancestors().collect();
        folders.reverse();
        folders.into_iter().find(|folder| !self.may_enter(folder)).map(Path::to_owned)
    }

    fn may_enter(&self, folder: &Path) -> bool {
        let Ok(metadata) = fs::metadata(folder) else {
            return true;
        };
        let mode = metadata.mode();
        let search = if metadata.uid() == self.uid {
            mode >> 6
        } else if metadata.gid() == self.gid {
            mode >> 3
        } else {
            mode
        };
        search & 1 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
        broken line\n\
        nobody:x:65534:65533:nobody:/nonexistent:/bin/false\n\
        alice:x:1000:1001::/home/alice:/bin/sh\n";

    #[test]
    fn finds_the_configured_user_or_a_default_one() {
        let cases = [
            (Some("alice"), Ok(("alice", 1000, 1001))),
            (None, Ok(("nobody", 65534, 65533))),
            (Some("root"), Err("no user root;")),
            (Some("bob"), Err("no user bob;")),
        ];
        for (run_as, expected) in cases {
            let found = look_up(PASSWD, run_as);
            match (found, expected) {
                (Ok(user), Ok(expected)) => {
                    assert_eq!((user.name.as_str(), user.uid, user.gid), expected);
                }
                (Err(error), Err(expected)) => {
                    assert!(error.to_string().contains(expected), "{error}");
                }
                (found, expected) => panic!("{run_as:?}: {found:?} instead of {expected:?}"),
            }
        }
        let error = look_up("", None).unwrap_err();
        assert!(error.to_string().contains("no user postgres or nobody;"), "{error}");
    }

    #[test]
    fn finds_the_closed_folder_on_the_way() {
        use std::os::unix::fs::PermissionsExt;

        let top = tempfile::tempdir().unwrap();
        let closed = top.path().join("closed");
        let target = closed.join("inner");
        fs::create_dir_all(&target).unwrap();
        fs::set_permissions(top.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let stranger = Account { name: "stranger".to_owned(), uid: 4_000_000, gid: 4_000_000 };

        fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(stranger.closed_folder(&target), None);
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o750)).unwrap();
        assert_eq!(stranger.closed_folder(&target), Some(closed.canonicalize().unwrap()));
    }
}
