//! What a walk leaves out without a word: ignored files, version control data, dependencies, caches.
//!
//! The rules are a property of the tree, so two copies of it are indexed alike: `.gitignore` and
//! `.mcpignore` in every folder from the top of the enclosing repository down, or from the root where
//! there is no repository. Ignore files above that, the user's global git excludes and
//! `.git/info/exclude` do not count. A nested repository starts afresh with `.gitignore`, as in git,
//! but not with `.mcpignore`, which also wins over any `.gitignore`.

use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::rc::Rc;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use rustix::fs::CWD;

use crate::index::FailCause;
use crate::index::root::{Opened, open_file};

/// A longer ignore file is refused. Bytes.
const MAX_IGNORE_FILE: u64 = 1024 * 1024;

/// Never entered, whatever the ignore files say. In a worktree or submodule `.git` is a file.
const VERSION_CONTROL: [&str; 4] = [".git", ".hg", ".svn", ".jj"];

/// Left out unless an ignore file names them with a leading `!`: dependencies and caches that an
/// unpacked archive has without a `.gitignore`, and the file that holds secrets by custom.
const BY_DEFAULT: [&str; 9] = [
    "node_modules",
    "__pycache__",
    ".venv",
    "venv",
    ".env",
    ".tox",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
];

/// The file that marks its folder as a cache, if it starts with the signature.
const CACHE_TAG: &str = "CACHEDIR.TAG";
const CACHE_SIGNATURE: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55";

/// The rules that hold in one folder. A clone is cheap.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules(Option<Rc<Level>>);

/// What a pattern is matched against. One with a trailing slash matches folders only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    Folder,
    Other,
}

/// The ignore files of one folder.
#[derive(Debug)]
struct Level {
    mcpignore: Gitignore,
    gitignore: Gitignore,
    /// Whether the folder is the top of a repository.
    repository: bool,
    outer: Rules,
}

impl Rules {
    /// Returns the rules from the folders above `root` that belong to the same repository.
    pub(super) fn above(root: &Path) -> Result<Self, FailCause> {
        let top = root.ancestors().find(|folder| is_repository(folder));
        let mut folders: Vec<_> = match top {
            Some(top) => root.ancestors().skip(1).take_while(|at| at.starts_with(top)).collect(),
            None => Vec::new(),
        };
        folders.reverse();
        folders.into_iter().try_fold(Self::default(), |rules, folder| rules.enter(folder))
    }

    /// Returns the rules that hold in `folder`, given those of the folder around it.
    pub(super) fn enter(&self, folder: &Path) -> Result<Self, FailCause> {
        let mcpignore = load(folder, ".mcpignore")?;
        let gitignore = load(folder, ".gitignore")?;
        let repository = is_repository(folder);
        if mcpignore.is_empty() && gitignore.is_empty() && !repository {
            return Ok(self.clone());
        }
        let level = Level { mcpignore, gitignore, repository, outer: self.clone() };
        Ok(Self(Some(Rc::new(level))))
    }

    /// Whether the walk leaves out `path`, an absolute path directly in the folder.
    pub(super) fn leave_out(&self, path: &Path, entry: Entry) -> bool {
        let is_one_of = |names: &[&str]| {
            path.file_name().is_some_and(|it| names.iter().any(|name| it == *name))
        };
        if is_one_of(&VERSION_CONTROL) {
            return true;
        }
        match self.verdict(path, entry) {
            Match::Ignore(()) => true,
            Match::Whitelist(()) => false,
            Match::None => is_one_of(&BY_DEFAULT),
        }
    }

    /// The innermost `.mcpignore` that mentions the path decides, else the innermost `.gitignore`.
    fn verdict(&self, path: &Path, entry: Entry) -> Match<()> {
        let is_folder = entry == Entry::Folder;
        let mut gitignore = Match::None;
        let mut same_repository = true;
        let mut rules = self;
        while let Some(level) = &rules.0 {
            let verdict = level.mcpignore.matched(path, is_folder).map(|_| ());
            if !verdict.is_none() {
                return verdict;
            }
            if same_repository && gitignore.is_none() {
                gitignore = level.gitignore.matched(path, is_folder).map(|_| ());
            }
            same_repository &= !level.repository;
            rules = &level.outer;
        }
        gitignore
    }
}

/// Whether `folder` says that its content can be made again from elsewhere.
pub(super) fn is_cache(folder: &Path) -> bool {
    let Ok(Opened::Regular(tag, _)) = open_file(CWD, &folder.join(CACHE_TAG)) else { return false };
    let mut start = Vec::new();
    let read = tag.take(CACHE_SIGNATURE.len() as u64).read_to_end(&mut start);
    read.is_ok() && start == CACHE_SIGNATURE
}

fn is_repository(folder: &Path) -> bool {
    fs::symlink_metadata(folder.join(".git")).is_ok()
}

/// Reads the ignore file `name` in `folder`. Only a regular file counts, as in git.
fn load(folder: &Path, name: &str) -> Result<Gitignore, FailCause> {
    let path = folder.join(name);
    let content = match read(&path) {
        Ok(Some(content)) => content,
        Ok(None) => return Ok(Gitignore::empty()),
        Err(source) => return Err(FailCause::IgnoreFile { path, source }),
    };
    let mut builder = GitignoreBuilder::new(folder);
    for (line, number) in content.trim_start_matches('\u{feff}').lines().zip(1_u32..) {
        if let Err(error) = builder.add_line(None, line) {
            tracing::warn!(
                path = %path.display(),
                line = number,
                error = %error,
                "a pattern in an ignore file is not valid and does not count"
            );
        }
    }
    builder.build().map_err(|error| FailCause::IgnoreFile { path, source: io::Error::other(error) })
}

/// Patterns are matched as text, so a byte that is no UTF-8 spoils its own pattern only.
fn read(path: &Path) -> io::Result<Option<String>> {
    let file = match open_file(CWD, path) {
        Ok(Opened::Regular(file, _)) => file,
        Ok(Opened::Symlink | Opened::Special) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut content = Vec::new();
    file.take(MAX_IGNORE_FILE + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_IGNORE_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it has more than 1 MiB"));
    }
    Ok(Some(String::from_utf8_lossy(&content).into_owned()))
}
