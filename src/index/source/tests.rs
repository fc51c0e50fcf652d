//! What is read as text, and what is refused.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use rustix::fs::{CWD, Mode, mkfifoat};

use super::*;

const SMALL: Config =
    Config { max_file_size: 20_000, max_line_length: 12, max_chunk_size: 256, batch_size: 1 };

/// Reads a file with the given content.
fn read_content(content: &[u8]) -> Result<Source, Unreadable> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x.py"), content).unwrap();
    read(&Root::resolve(folder.path()).unwrap(), "x.py", &SMALL)
}

fn skipped(result: Result<Source, Unreadable>) -> SkipRule {
    match result {
        Err(Unreadable::Skip(rule)) => rule,
        other => panic!("{other:?}"),
    }
}

fn failed(result: Result<Source, Unreadable>) -> FailCause {
    match result {
        Err(Unreadable::Fail(cause)) => cause,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_text_is_read_with_its_hash_and_language() {
    let content = "import os\r\n\u{e9}\n";
    let source = read_content(content.as_bytes()).unwrap();
    let expected = Source {
        text: content.to_owned(),
        hash: *blake3::hash(content.as_bytes()).as_bytes(),
        size: 14,
        language: Language::PYTHON,
    };
    assert_eq!(source, expected);
}

#[test]
fn a_byte_order_mark_counts_for_hash_and_size_only() {
    let content = "\u{feff}a\u{feff}";
    let source = read_content(content.as_bytes()).unwrap();
    assert_eq!(source.text, "a\u{feff}");
    assert_eq!(source.size, 7);
    assert_eq!(source.hash, *blake3::hash(content.as_bytes()).as_bytes());
}

#[test]
fn content_that_is_no_text_is_skipped() {
    let late_nul = [b"a\n".repeat(9_000), vec![0]].concat();
    let utf16: Vec<u8> = "\u{feff}abc".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (content, rule) in [
        (b"".as_slice(), SkipRule::Empty),
        (b" \t\r\n\x0c \n", SkipRule::Empty),
        ("\u{feff}\n".as_bytes(), SkipRule::Empty),
        (b"a\0b", SkipRule::Binary),
        (b"\xff\0", SkipRule::Binary),
        (&late_nul, SkipRule::Binary),
        (&utf16, SkipRule::Binary),
        (b"caf\xe9\n", SkipRule::NotUtf8 { offset: 3 }),
        (b"ok\xc3", SkipRule::NotUtf8 { offset: 2 }),
        (b"a\n1234567890123\nb", SkipRule::LongLine { length: 13, limit: 12 }),
        (&b"a\n".repeat(10_001), SkipRule::TooLarge { size: 20_002, limit: 20_000 }),
    ] {
        assert_eq!(skipped(read_content(content)), rule);
    }
}

#[test]
fn the_limits_themselves_are_allowed() {
    assert_eq!(read_content(&b"a\n".repeat(10_000)).unwrap().size, 20_000);
    assert!(read_content(b"123456789012\r\n123456789012").is_ok());
}

#[test]
fn only_regular_files_below_the_root_are_read() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "secret").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path();
    fs::create_dir(base.join("sub")).unwrap();
    fs::write(base.join("sub/x"), "x").unwrap();
    symlink(outside.path(), base.join("link")).unwrap();
    symlink("sub/x", base.join("link_to_file")).unwrap();
    mkfifoat(CWD, base.join("pipe"), Mode::RWXU).unwrap();
    let _socket = UnixListener::bind(base.join("socket")).unwrap();

    let root = Root::resolve(base).unwrap();
    let read = |relative: &str| read(&root, relative, &SMALL);
    assert_eq!(read("sub/x").unwrap().text, "x");
    for (relative, rule) in [
        ("link", SkipRule::Symlink),
        ("link_to_file", SkipRule::Symlink),
        ("pipe", SkipRule::NotAFile),
        ("socket", SkipRule::NotAFile),
        ("sub", SkipRule::NotAFile),
    ] {
        assert_eq!(skipped(read(relative)), rule, "{relative}");
    }
    for (relative, label) in [
        ("link/secret", "open"),
        ("gone", "open"),
        ("gone/x", "open"),
        ("sub/x/y", "open"),
        ("sub\0x", "open"),
        ("../secret", "outside_root"),
        ("sub/../sub/x", "outside_root"),
        ("/etc/hostname", "outside_root"),
        ("./sub/x", "outside_root"),
        ("", "outside_root"),
    ] {
        assert_eq!(failed(read(relative)).label(), label, "{relative:?}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_file_that_hides_its_size_is_read_up_to_the_limit() {
    let root = Root::resolve(std::path::Path::new("/proc/self")).unwrap();
    // The kernel says that these files are empty.
    let config = Config { max_file_size: 1024, ..Config::default() };
    assert_eq!(
        skipped(read(&root, "maps", &config)),
        SkipRule::TooLarge { size: 1025, limit: 1024 }
    );
    assert!(read(&root, "status", &Config::default()).unwrap().size > 0);
}
