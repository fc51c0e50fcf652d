//! What a walk finds, skips and fails on.

use std::cell::Cell;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use rustix::fs::{CWD, Mode, OFlags, mkdirat, mkfifoat, openat};
use tempfile::TempDir;

use super::*;

/// A folder with the given files, and with folders for names that end with a slash.
fn tree(files: &[(&str, &str)]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().canonicalize().unwrap();
    for (name, content) in files {
        let path = base.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if name.ends_with('/') {
            fs::create_dir_all(path).unwrap();
        } else {
            fs::write(path, content).unwrap();
        }
    }
    (folder, base)
}

fn scan_all(root: &Path) -> Scan {
    scan(&Root::resolve(root).unwrap(), &Config::default(), &|| false).unwrap()
}

/// The candidates, in the order of the scan.
fn candidates(scan: &Scan) -> Vec<&str> {
    let candidate = |walked: &&Walked| matches!(walked, Walked::Candidate { .. });
    scan.files.iter().filter(candidate).map(Walked::relative).collect()
}

/// What is not a candidate, by path and label.
fn others(scan: &Scan) -> Vec<(&str, &str)> {
    let label = |walked: &'_ Walked| match walked {
        Walked::Candidate { .. } => None,
        Walked::Skipped { rule, .. } => Some(rule.label()),
        Walked::Failed { cause, .. } => Some(cause.label()),
    };
    scan.files.iter().filter_map(|walked| Some((walked.relative(), label(walked)?))).collect()
}

#[test]
fn a_candidate_has_size_and_time() {
    let (_folder, base) = tree(&[("src/lib.rs", "fn main() {}\n")]);
    let modified = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    let file = fs::File::options().append(true).open(base.join("src/lib.rs")).unwrap();
    file.set_modified(modified).unwrap();

    let scan = scan_all(&base);
    let [Walked::Candidate { relative, size, modified: found }] = scan.files.as_slice() else {
        panic!("{scan:?}")
    };
    assert_eq!((relative.as_str(), *size, *found), ("src/lib.rs", 13, modified));
}

#[test]
fn files_are_ordered_by_path_and_hidden_ones_are_included() {
    let (_folder, base) = tree(&[
        ("b/z", ""),
        ("b.txt", ""),
        ("b/a/x", ""),
        ("a", ""),
        (".github/workflows/ci.yml", ""),
        ("build/x", ""),
        ("dist/x", ""),
        ("empty/", ""),
    ]);
    let expected = [".github/workflows/ci.yml", "a", "b.txt", "b/a/x", "b/z", "build/x", "dist/x"];
    assert_eq!(candidates(&scan_all(&base)), expected);
}

#[test]
fn ignore_files_apply_without_a_repository() {
    let (_folder, base) = tree(&[
        (".gitignore", "*.log\n/top\nout/\n!keep.log\n"),
        ("a.log", ""),
        ("keep.log", ""),
        ("top", ""),
        ("sub/top", ""),
        ("sub/.gitignore", "\u{feff}*.tmp\n!a.log\n"),
        ("sub/a.log", ""),
        ("sub/b.log", ""),
        ("sub/x.tmp", ""),
        ("x.tmp", ""),
        ("out/x", ""),
        ("sub/out/x", ""),
        ("file/out", ""),
    ]);
    let expected =
        [".gitignore", "file/out", "keep.log", "sub/.gitignore", "sub/a.log", "sub/top", "x.tmp"];
    assert_eq!(candidates(&scan_all(&base)), expected);
}

#[test]
fn an_mcpignore_wins_over_every_gitignore() {
    let (_folder, base) = tree(&[
        (".mcpignore", "secret*\n!vendor.gen\n!node_modules/\n!.git\n"),
        (".gitignore", "*.gen\n"),
        ("secret.txt", ""),
        ("vendor.gen", ""),
        ("other.gen", ""),
        ("sub/.gitignore", "!secret.txt\nvendor.gen\n"),
        ("sub/secret.txt", ""),
        ("sub/vendor.gen", ""),
        ("sub/deep/.mcpignore", "!secret.txt\n"),
        ("sub/deep/secret.txt", ""),
        ("node_modules/x.js", ""),
        (".git/config", ""),
    ]);
    let expected = [
        ".gitignore",
        ".mcpignore",
        "node_modules/x.js",
        "sub/.gitignore",
        "sub/deep/.mcpignore",
        "sub/deep/secret.txt",
        "sub/vendor.gen",
        "vendor.gen",
    ];
    assert_eq!(candidates(&scan_all(&base)), expected);
}

#[test]
fn version_control_dependencies_and_caches_are_left_out() {
    let tag = "Signature: 8a477f597d28d172789f06886806bc55\n# Made by a test.\n";
    let (_folder, base) = tree(&[
        (".git/HEAD", ""),
        ("module/.git", "gitdir: elsewhere\n"),
        ("module/.hg/x", ""),
        (".svn/x", ""),
        (".jj/x", ""),
        ("node_modules/x", ""),
        ("py/__pycache__/x", ""),
        ("py/.venv/x", ""),
        (".env", "TOKEN=1"),
        ("venv.py", ""),
        ("target/CACHEDIR.TAG", tag),
        ("target/debug/x", ""),
        ("other/CACHEDIR.TAG", "no signature"),
        ("other/x", ""),
    ]);
    assert_eq!(candidates(&scan_all(&base)), ["other/CACHEDIR.TAG", "other/x", "venv.py"]);
    // Whoever names a cache wants it.
    assert_eq!(candidates(&scan_all(&base.join("target"))), ["CACHEDIR.TAG", "debug/x"]);
}

#[test]
fn ignore_files_above_the_root_apply_within_the_repository() {
    let (_folder, base) = tree(&[
        (".gitignore", "*.rs\n"),
        (".mcpignore", "*.py\n"),
        ("repo/.git/HEAD", ""),
        ("repo/.gitignore", "/sub/inner/x.txt\n*.log\n*.out\n"),
        ("repo/.mcpignore", "*.key\n"),
        ("repo/sub/.gitignore", "!a.out\n"),
        ("repo/sub/inner/x.txt", ""),
        ("repo/sub/inner/a.log", ""),
        ("repo/sub/inner/a.out", ""),
        ("repo/sub/inner/a.key", ""),
        ("repo/sub/inner/a.rs", ""),
        ("repo/sub/inner/a.py", ""),
        ("repo/sub/inner/nested/.git/HEAD", ""),
        ("repo/sub/inner/nested/b.log", ""),
        ("repo/sub/inner/nested/b.key", ""),
        ("plain/a.rs", ""),
    ]);
    let scan = scan_all(&base.join("repo/sub/inner"));
    // The nested repository does not know what the outer one ignores, as in git.
    assert_eq!(candidates(&scan), ["a.out", "a.py", "a.rs", "nested/b.log"]);
    assert_eq!(candidates(&scan_all(&base.join("repo"))).len(), 7);
    assert_eq!(candidates(&scan_all(&base.join("plain"))), ["a.rs"]);
}

#[test]
fn special_files_are_listed_and_links_are_not_followed() {
    let (_folder, base) = tree(&[("real/x", "x")]);
    symlink(base.join("real/x"), base.join("to_file")).unwrap();
    symlink("..", base.join("real/loop")).unwrap();
    symlink("nowhere", base.join("broken")).unwrap();
    mkfifoat(CWD, base.join("pipe"), Mode::RWXU).unwrap();
    let _socket = UnixListener::bind(base.join("socket")).unwrap();
    // A pipe that looks like an ignore file would wait for a writer forever.
    mkfifoat(CWD, base.join(".gitignore"), Mode::RWXU).unwrap();
    symlink("/dev/zero", base.join(".mcpignore")).unwrap();

    let scan = scan_all(&base);
    assert_eq!(candidates(&scan), ["real/x"]);
    let expected = [
        (".gitignore", "not_a_file"),
        (".mcpignore", "symlink"),
        ("broken", "symlink"),
        ("pipe", "not_a_file"),
        ("real/loop", "symlink"),
        ("socket", "not_a_file"),
        ("to_file", "symlink"),
    ];
    assert_eq!(others(&scan), expected);
}

#[test]
fn names_that_are_not_utf8_are_listed_apart() {
    let (_folder, base) = tree(&[("sub/a\\xff", "a real name")]);
    fs::write(base.join(OsStr::from_bytes(b"sub/a\xff")), "").unwrap();
    let folder = base.join(OsStr::from_bytes(b"\xfe\\"));
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("x"), "").unwrap();

    let scan = scan_all(&base);
    assert_eq!(candidates(&scan), ["sub/a\\xff"]);
    let expected = [(r"./\xfe\\", "not_utf8_name"), (r"./sub/a\xff", "not_utf8_name")];
    assert_eq!(others(&scan), expected);
}

#[test]
fn a_large_file_is_skipped_with_both_sizes() {
    let (_folder, base) = tree(&[("fits", "12345678"), ("large", "123456789")]);
    let config = Config { max_file_size: 8, ..Config::default() };
    let scan = scan(&Root::resolve(&base).unwrap(), &config, &|| false).unwrap();
    assert_eq!(candidates(&scan), ["fits"]);
    let Some(Walked::Skipped { relative, rule }) = scan.files.last() else { panic!("{scan:?}") };
    assert_eq!((relative.as_str(), rule), ("large", &SkipRule::TooLarge { size: 9, limit: 8 }));
}

#[test]
fn a_folder_that_fails_does_not_end_the_walk() {
    let (_folder, base) = tree(&[("a", ""), ("z/z", "")]);
    // Longer than a path may be, so it cannot be listed, not even by a superuser.
    let name = "d".repeat(250);
    let flags = OFlags::DIRECTORY | OFlags::RDONLY;
    let mut folder = openat(CWD, &base, flags, Mode::empty()).unwrap();
    for _ in 0..20 {
        mkdirat(&folder, &name, Mode::RWXU).unwrap();
        folder = openat(&folder, &name, flags, Mode::empty()).unwrap();
    }

    let scan = scan_all(&base);
    assert_eq!(candidates(&scan), ["a", "z/z"]);
    let [(failed, label)] = others(&scan)[..] else { panic!("{scan:?}") };
    assert!(failed.starts_with(&name));
    assert!(["list", "ignore_file"].contains(&label), "{label}");
    assert!(!scan.covers(&format!("{failed}/x")));
    assert!(!scan.covers(&format!("{failed}/x/y")));
    assert!(scan.covers(failed));
    assert!(scan.covers(&format!("{failed}x")));
    assert!(scan.covers("b"));
}

#[test]
fn a_folder_with_unknown_rules_is_left_out() {
    let long = "# a comment\n".repeat(100_000);
    let (_folder, base) = tree(&[
        ("a", ""),
        ("private/.mcpignore", &long),
        ("private/secret", ""),
        ("lenient/.gitignore", "[z-a]\n*.log\n"),
        ("lenient/a.log", ""),
        ("lenient/b", ""),
    ]);
    let scan = scan_all(&base);
    assert_eq!(candidates(&scan), ["a", "lenient/.gitignore", "lenient/b"]);
    assert_eq!(others(&scan), [("private", "ignore_file")]);
    assert!(!scan.covers("private/secret"));

    let scan = scan_all(&base.join("private"));
    assert_eq!(others(&scan), [(".", "ignore_file")]);
    assert!(!scan.covers("secret"));
}

#[test]
fn a_cancelled_scan_has_no_result() {
    let (_folder, base) = tree(&[("a/b/c", "")]);
    let asked = Cell::new(0);
    let cancelled = || {
        asked.set(asked.get() + 1);
        asked.get() == 3
    };
    let result = scan(&Root::resolve(&base).unwrap(), &Config::default(), &cancelled);
    assert_eq!(result.unwrap_err().to_string(), "the scan was cancelled");
    assert_eq!(asked.get(), 3);
}
