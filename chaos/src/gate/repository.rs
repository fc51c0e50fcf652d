//! The git repository as the gate needs it: trees, named by their hash, and a work tree of the gate's own.
//!
//! What is being worked on becomes a tree too, with everything that is not ignored in it, whether it was added
//! or not. New objects go to the gate's cache; the user's repository, index and work tree stay as they are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::GateError;

/// What the names of folders begin with that are gone when a call is over.
const SCRATCH: &str = ".scratch-";

/// A repository, and where the gate keeps what it adds to it.
#[derive(Debug, Clone)]
pub(super) struct Repository {
    root: PathBuf,
    folder: PathBuf,
    objects: PathBuf,
    cache: PathBuf,
}

/// The content of a revision, or of what is being worked on: the hash of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tree(pub(super) String);

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Commit {
    /// Its hash.
    pub(super) id: String,
    /// Its content.
    pub(super) tree: Tree,
}

impl Repository {
    /// The repository around `root`. What is added to it is kept in `cache`.
    pub(super) fn open(root: &Path, cache: &Path) -> Result<Self, GateError> {
        let asked = |what: &str| -> Result<PathBuf, GateError> {
            let mut git = Command::new("git");
            git.arg("-C").arg(root).args(["rev-parse", "--path-format=absolute"]);
            said(git.args(what.split(' '))).map(PathBuf::from)
        };
        let objects = cache.join("objects");
        fs::create_dir_all(&objects).map_err(|source| GateError::io(&objects, source))?;
        Ok(Self {
            root: asked("--show-toplevel")?,
            folder: asked("--git-dir")?,
            objects: asked("--git-path objects")?,
            cache: cache.to_owned(),
        })
    }

    /// Removes what a gate has left that was killed. No other one may be at work.
    pub(super) fn recover(&self) -> Result<(), GateError> {
        let wrong = |source| GateError::io(&self.cache, source);
        for entry in fs::read_dir(&self.cache).map_err(wrong)? {
            let path = entry.map_err(wrong)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name == "tree.index.lock" {
                fs::remove_file(&path).map_err(wrong)?;
            } else if name.starts_with(SCRATCH) {
                fs::remove_dir_all(&path).map_err(wrong)?;
            }
        }
        Ok(())
    }

    /// Whether this tree is in the repository.
    pub(super) fn has(&self, tree: &Tree) -> bool {
        let mut git = self.git(&self.root, None);
        said(git.args(["cat-file", "-e", &tree.0])).is_ok()
    }

    /// The commit that is checked out.
    pub(super) fn head(&self) -> Result<Commit, GateError> {
        self.commit("HEAD")
    }

    /// The commit that a name or a hash means.
    pub(super) fn commit(&self, revision: &str) -> Result<Commit, GateError> {
        let asked = |suffix: &str| {
            let mut git = self.git(&self.root, None);
            said(
                git.args(["rev-parse", "--verify", "--quiet", "--end-of-options"])
                    .arg(format!("{revision}^{{{suffix}}}")),
            )
        };
        let unknown = |_| GateError::UnknownRevision { revision: revision.to_owned() };
        let id = asked("commit").map_err(unknown)?;
        Ok(Commit { id, tree: Tree(asked("tree").map_err(unknown)?) })
    }

    /// What is in the user's work tree now, but for what is ignored.
    pub(super) fn working_tree(&self) -> Result<Tree, GateError> {
        let folder = tempfile::Builder::new()
            .prefix(SCRATCH)
            .tempdir_in(&self.cache)
            .map_err(|source| GateError::io(&self.cache, source))?;
        let index = folder.path().join("index");
        // An index of its own reads every file. The user's would be faster, but git takes a file for unchanged that has
        // its size and its second, unless the index is as young; a copy never is.
        said(self.git(&self.root, Some(&index)).args(["add", "--all", "."]))?;
        said(self.git(&self.root, Some(&index)).arg("write-tree")).map(Tree)
    }

    /// Makes `folder` hold exactly this tree. Files that need not change are not touched, so a compiler takes
    /// them for what they were.
    pub(super) fn check_out(&self, tree: &Tree, folder: &Path) -> Result<(), GateError> {
        fs::create_dir_all(folder).map_err(|source| GateError::io(folder, source))?;
        let index = self.cache.join("tree.index");
        let run = |arguments: &[&str]| {
            said(self.git(folder, Some(&index)).current_dir(folder).args(arguments))
        };
        run(&["read-tree", "--reset", "-u", &tree.0])?;
        // Whatever a killed check-out has left.
        run(&["checkout-index", "--all", "--force", "--index"])?;
        run(&["clean", "-ffdxq"])?;
        Ok(())
    }

    fn git(&self, work_tree: &Path, index: Option<&Path>) -> Command {
        let mut git = Command::new("git");
        git.current_dir(&self.root)
            .env("GIT_DIR", &self.folder)
            .env("GIT_WORK_TREE", work_tree)
            .env("GIT_OBJECT_DIRECTORY", self.cache.join("objects"))
            .env("GIT_ALTERNATE_OBJECT_DIRECTORIES", &self.objects);
        match index {
            Some(index) => git.env("GIT_INDEX_FILE", index),
            None => git.env_remove("GIT_INDEX_FILE"),
        };
        git
    }
}

/// What a program says on stdout, without the line end.
pub(super) fn said(command: &mut Command) -> Result<String, GateError> {
    let shown = || {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
    };
    let shown = shown();
    let output = command
        .output()
        .map_err(|source| GateError::NotStarted { command: shown.clone(), source })?;
    if !output.status.success() {
        return Err(GateError::CommandFailed {
            command: shown,
            status: output.status,
            said: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A repository with one commit, in which `a` says `one`.
    fn repository() -> (tempfile::TempDir, Repository) {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("project");
        fs::create_dir(&root).unwrap();
        let git = |arguments: &[&str]| {
            let identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"];
            said(Command::new("git").arg("-C").arg(&root).args(identity).args(arguments)).unwrap()
        };
        git(&["init", "--quiet"]);
        fs::write(root.join("a"), "one").unwrap();
        fs::write(root.join(".gitignore"), "/ignored\n").unwrap();
        git(&["add", "."]);
        git(&["commit", "--quiet", "-m", "first"]);
        let repository = Repository::open(&root, &place.path().join("cache")).unwrap();
        (place, repository)
    }

    fn status(repository: &Repository) -> String {
        said(Command::new("git").arg("-C").arg(&repository.root).args(["status", "--porcelain"]))
            .unwrap()
    }

    #[test]
    fn what_is_being_worked_on_is_a_tree_and_the_repository_stays_as_it_is() {
        let (_place, repository) = repository();
        let head = repository.head().unwrap();
        assert_eq!(repository.working_tree().unwrap(), head.tree);

        fs::write(repository.root.join("ignored"), "x").unwrap();
        assert_eq!(repository.working_tree().unwrap(), head.tree);
        fs::write(repository.root.join("new"), "x").unwrap();
        let changed = repository.working_tree().unwrap();
        assert_ne!(changed, head.tree);
        assert_eq!(status(&repository), "?? new");
        assert_eq!(repository.head().unwrap(), head);
        let object = format!("objects/{}/{}", &changed.0[..2], &changed.0[2..]);
        assert!(!repository.folder.join(&object).exists());
        assert!(repository.cache.join(&object).exists());
    }

    #[test]
    fn a_check_out_holds_the_tree_and_leaves_alone_what_is_the_same() {
        let (place, repository) = repository();
        let head = repository.head().unwrap().tree;
        fs::write(repository.root.join("b"), "two").unwrap();
        let changed = repository.working_tree().unwrap();
        let folder = place.path().join("tree");
        let read = |name: &str| fs::read_to_string(folder.join(name)).ok();

        repository.check_out(&changed, &folder).unwrap();
        assert_eq!((read("a").as_deref(), read("b").as_deref()), (Some("one"), Some("two")));
        let touched = fs::metadata(folder.join("a")).unwrap().modified().unwrap();
        // What a killed check-out or a build may leave.
        fs::write(folder.join("b"), "half").unwrap();
        fs::write(folder.join("stray"), "x").unwrap();
        repository.check_out(&changed, &folder).unwrap();
        assert_eq!((read("b").as_deref(), read("stray")), (Some("two"), None));

        repository.check_out(&head, &folder).unwrap();
        assert_eq!((read("a").as_deref(), read("b")), (Some("one"), None));
        assert_eq!(fs::metadata(folder.join("a")).unwrap().modified().unwrap(), touched);
        assert_eq!(status(&repository), "?? b");
    }

    #[test]
    fn what_a_killed_gate_has_left_stops_no_other() {
        let (place, repository) = repository();
        fs::write(repository.cache.join("tree.index.lock"), "").unwrap();
        fs::create_dir(repository.cache.join(".scratch-1")).unwrap();
        let tree = repository.head().unwrap().tree;
        assert!(repository.check_out(&tree, &place.path().join("tree")).is_err());
        repository.recover().unwrap();
        repository.check_out(&tree, &place.path().join("tree")).unwrap();
        assert!(!repository.cache.join(".scratch-1").exists());
        assert!(repository.has(&tree) && !repository.has(&Tree("0".repeat(40))));
    }

    #[test]
    fn a_revision_that_is_not_there_is_named() {
        let (_place, repository) = repository();
        let error = repository.commit("0123456789").unwrap_err().to_string();
        assert!(error.contains("0123456789"), "{error}");
        let error = repository.commit("--help").unwrap_err().to_string();
        assert!(error.contains("--help"), "{error}");
    }

    #[test]
    fn a_folder_without_a_repository_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let error = Repository::open(place.path(), &place.path().join("cache")).unwrap_err();
        assert!(error.to_string().contains("not a git repository"), "{error}");
    }
}
