//! How files are cut, and what must hold for every cut.

use std::fmt::Write as _;

use insta::assert_snapshot;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;

const RUST: &str = r#"//! Wheels.

use std::fmt;

/// Spokes of a wheel without any.
const SPOKES: usize = 32;

/// Turns.
///
/// Fast.
#[derive(Debug)]
pub struct Wheel<T> {
    spokes: Vec<T>,
}

impl<T: fmt::Debug> Wheel<T> {
    /// Makes a wheel.
    pub fn new(spokes: Vec<T>) -> Self {
        Self { spokes }
    }

    // Counts.

    pub fn count(&self) -> usize {
        self.spokes.len()
    }

    pub fn turn(&mut self, times: usize)
    where
        T: Clone,
    {
        for time in 0..times {
            println!("turning for the {time}th time, which is less than {times}");
        }
        let Some(first) = self.spokes.first() else { return };
        let first = first.clone();
        self.spokes.push(first);
        self.spokes.remove(0);
        println!("turned {times} times in all, and that is enough");
    }
}

impl<T> fmt::Display for Wheel<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wheel")
    }
}

cfg_rolling! {
    /// Rolls.
    pub fn roll() {}
}

macro_rules! spin {
    () => {};
}

mod inner {
    pub(crate) trait Roll {
        fn roll(&self);
    }

    fn free() {
        let long = "a string that is long enough to make this function stay alone";
        let other = "and another one that is of the same kind, but not the same";
    }
}
"#;

const PYTHON: &str = r#"#!/usr/bin/env python3
"""Sessions."""

import os
import sys

DEFAULT_TIMEOUTS = {
    "connect": 10,
    "read": 20,
}

log = print


@decorated(
    by="two",
)
# A comment between.
@lines
def send(url):
    """Sends."""
    return url


class Session(Base):
    """A session that lasts until it is closed, or until the server forgets about it."""

    retries = 3

    def __init__(self):
        self.open = True

    async def request(self, method, url):
        # Comes first.
        if method == "GET":
            for attempt in range(self.retries):
                print("attempt", attempt, "of", self.retries, "to get", url)

        def nested():
            return url

        return nested() or "nothing was found at the given address, sorry"

    class Error(Exception):
        pass


if __name__ == "__main__":
    send(sys.argv[1])
"#;

const MARKDOWN: &str = "Before.

# Guide

Read this first.

## Install ##

### Linux

Use the package. It is long enough to stay alone, as nobody would
doubt who has read this paragraph to its end.

```sh
# not a heading
```

### Windows

Use the installer.

## Use

Run it.

#not a heading
####### nor this
# License
";

/// One line for each chunk: its lines, kind, symbol and first line of text.
fn outline(text: &str, language: Language, max_bytes: usize) -> String {
    let chunks = Chunker::new().chunk(text, language, max_bytes);
    check(text, &chunks, max_bytes);
    let mut outline = String::new();
    for Chunk { start, end, start_line, end_line, kind, symbol } in &chunks {
        let (kind, symbol) = (kind.label(), symbol.as_deref().unwrap_or("-"));
        let first = text[*start..*end].lines().next().unwrap().trim();
        writeln!(outline, "{start_line}-{end_line} {kind} {symbol}: {first}").unwrap();
    }
    outline
}

/// Checks what holds for the chunks of any text.
fn check(text: &str, chunks: &[Chunk], max_bytes: usize) {
    let line_at = |at: usize| u32::try_from(1 + text[..at].matches('\n').count()).unwrap();
    let mut covered = 0;
    for chunk in chunks {
        let Chunk { start, end, .. } = *chunk;
        assert!(covered <= start && start < end, "{chunk:?} after {covered}");
        assert!(text[covered..start].trim().is_empty(), "lost before {chunk:?}");
        let part = &text[start..end];
        assert!(!part.trim().is_empty(), "{chunk:?} is blank");
        assert!(part.len() <= max_bytes || part.chars().count() == 1, "{chunk:?} is too long");
        assert_eq!((chunk.start_line, chunk.end_line), (line_at(start), line_at(end)));

        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[end..].find('\n').map_or(text.len(), |at| end + at);
        let whole = start == line_start && text[end..line_end].trim().is_empty();
        let line = text[line_start..line_end].trim_end();
        assert!(whole || line.len() > max_bytes, "{chunk:?} cuts a line that fits");
        assert!(chunk.symbol.as_ref().is_none_or(|symbol| symbol.chars().count() <= 200));
        covered = end;
    }
    assert!(text[covered..].trim().is_empty(), "lost after {covered}");
}

#[test]
fn rust_is_cut_at_items() {
    assert_snapshot!(outline(RUST, Language::RUST, 400), @r"
    1-14 type Wheel: //! Wheels.
    16-26 implementation impl Wheel: impl<T: fmt::Debug> Wheel<T> {
    28-34 function Wheel::turn: pub fn turn(&mut self, times: usize)
    35-41 function Wheel::turn: let Some(first) = self.spokes.first() else { return };
    43-47 implementation impl fmt::Display for Wheel: impl<T> fmt::Display for Wheel<T> {
    49-56 function roll: cfg_rolling! {
    58-67 module inner: mod inner {
    ");
}

#[test]
fn rust_is_cut_at_statements() {
    assert_snapshot!(outline(RUST, Language::RUST, 200), @r"
    1-6 constant SPOKES: //! Wheels.
    8-14 type Wheel: /// Turns.
    16-20 function Wheel::new: impl<T: fmt::Debug> Wheel<T> {
    22-26 function Wheel::count: // Counts.
    28-34 function Wheel::turn: pub fn turn(&mut self, times: usize)
    35-37 function Wheel::turn: let Some(first) = self.spokes.first() else { return };
    38-41 function Wheel::turn: self.spokes.remove(0);
    43-47 implementation impl fmt::Display for Wheel: impl<T> fmt::Display for Wheel<T> {
    49-56 function roll: cfg_rolling! {
    58-61 type inner::Roll: mod inner {
    63-67 function inner::free: fn free() {
    ");
}

#[test]
fn python_is_cut_at_definitions() {
    assert_snapshot!(outline(PYTHON, Language::PYTHON, 400), @r#"
    1-22 function send: #!/usr/bin/env python3
    25-31 type Session: class Session(Base):
    33-42 function Session.request: async def request(self, method, url):
    44-45 type Session.Error: class Error(Exception):
    48-49 module -: if __name__ == "__main__":
    "#);
}

#[test]
fn python_is_cut_at_statements() {
    assert_snapshot!(outline(PYTHON, Language::PYTHON, 200), @r#"
    1-12 constant DEFAULT_TIMEOUTS: #!/usr/bin/env python3
    15-22 function send: @decorated(
    25-31 type Session: class Session(Base):
    33-34 function Session.request: async def request(self, method, url):
    35-37 function Session.request: if method == "GET":
    39-42 function Session.request: def nested():
    44-45 type Session.Error: class Error(Exception):
    48-49 module -: if __name__ == "__main__":
    "#);
}

#[test]
fn markdown_is_cut_at_headings() {
    assert_snapshot!(outline(MARKDOWN, Language::MARKDOWN, 150), @r"
    1-1 text -: Before.
    3-7 text Guide: # Guide
    9-16 text Guide > Install > Linux: ### Linux
    18-20 text Guide > Install > Windows: ### Windows
    22-27 text Guide > Use: ## Use
    28-28 text License: # License
    ");
}

#[test]
fn a_definition_keeps_its_comment_attributes_and_signature() {
    let text = "fn before() {}\n\n/// What it does,\n/// and why.\n\n#[inline]\n// By the way.\n#[cold]\n\
                pub fn after<T>(first: T)\nwhere\n    T: Copy,\n{\n    first;\n}\n";
    assert_snapshot!(outline(text, Language::RUST, 130), @r"
    1-1 function before: fn before() {}
    3-14 function after: /// What it does,
    ");
    // The comment does not fit any more. It gives way before the code does.
    assert_snapshot!(outline(text, Language::RUST, 100), @r"
    1-1 function before: fn before() {}
    3-4 function after: /// What it does,
    6-14 function after: #[inline]
    ");
}

#[test]
fn a_long_comment_is_cut_at_its_paragraphs() {
    let text = format!(
        "/// One.\n{}///\n/// Two.\n{}fn f() {{}}\n",
        "/// 1\n".repeat(9),
        "/// 2\n".repeat(9)
    );
    assert_snapshot!(outline(&text, Language::RUST, 90), @r"
    1-11 function f: /// One.
    12-22 function f: /// Two.
    ");
}

#[test]
fn macros_are_cut_only_if_they_hold_items() {
    let text = "m! {\n    fn a() {}\n}\nm! {\n    a => b, fn\n}\nm! { n! { struct S; } }\nm!(fn b() {});\n";
    assert_snapshot!(outline(text, Language::RUST, 24), @r"
    1-3 function a: m! {
    4-6 module -: m! {
    7-7 type S: m! { n! { struct S; } }
    8-8 module -: m!(fn b() {});
    ");
}

#[test]
fn impl_blocks_are_named_by_trait_and_type() {
    for (text, symbol) in [
        ("impl a::B<T> {}", "impl B"),
        ("impl<'a> From<io::Error> for &'a mut a::B<T> {}", "impl From<io::Error> for B"),
        ("impl\n  A\n  for (u8,\n  u8) {}", "impl A for (u8, u8)"),
        ("unsafe impl Send for *const B {}", "impl Send for B"),
        ("impl<T> A for T {}", "impl A for T"),
    ] {
        let [chunk] = &Chunker::new().chunk(text, Language::RUST, 1500)[..] else { panic!() };
        assert_eq!(chunk.symbol.as_deref(), Some(symbol));
    }
}

#[test]
fn a_long_line_is_cut_at_a_space_or_a_character() {
    for (text, max_bytes, expected) in [
        ("aaaa bbbb cccc", 10, vec!["aaaa bbbb", "cccc"]),
        ("a bbbbbbbbbbbb", 10, vec!["a bbbbbbbb", "bbbb"]),
        ("éééé", 3, vec!["é", "é", "é", "é"]),
        ("é€a", 1, vec!["é", "€", "a"]),
        ("é a", 0, vec!["é", "a"]),
        ("ab                c   ", 4, vec!["ab", "c"]),
        ("x\n123456\ny", 4, vec!["x", "1234", "56", "y"]),
    ] {
        let chunks = Chunker::new().chunk(text, Language::TEXT, max_bytes);
        check(text, &chunks, max_bytes);
        let parts: Vec<_> = chunks.iter().map(|chunk| &text[chunk.start..chunk.end]).collect();
        assert_eq!(parts, expected, "{text:?}");
    }
}

#[test]
fn line_breaks_belong_to_no_chunk() {
    let unix = "fn a() {\n}\n\n\nfn b() {\n\t}\n";
    for text in [unix, unix.trim_end(), &unix.replace('\n', "\r\n")] {
        let expected = "1-2 function a: fn a() {\n5-6 function b: fn b() {\n";
        assert_eq!(outline(text, Language::RUST, 13), expected, "{text:?}");
    }
}

#[test]
fn whitespace_has_no_chunks() {
    for text in ["", "\n", " \r\n\t\n\u{a0}"] {
        for language in [Language::RUST, Language::PYTHON, Language::MARKDOWN, Language::TEXT] {
            assert_eq!(Chunker::new().chunk(text, language, 100), []);
        }
    }
}

#[test]
fn deep_nesting_is_cut_into_lines() {
    let texts =
        ["(", "[", "{", "<", "([{", "&", "(\n", "[\n", "{\n", "fn f() {\n", "if a:\n", "m! {\n"]
            .map(|opening| opening.repeat(100_000 / opening.len()))
            .into_iter()
            .chain([
                format!("fn f() {{{}{}}}", "(\n".repeat(50_000), ")\n".repeat(50_000)),
                format!("x = {}{}", "[\n".repeat(50_000), "]\n".repeat(50_000)),
                format!("impl {}T {{}}", "&\n".repeat(100_000)),
                format!("fn f() {{ {}1 }}", "1 +\n".repeat(50_000)),
            ]);
    let mut chunker = Chunker::new();
    for text in texts {
        for language in [Language::RUST, Language::PYTHON] {
            let chunks = chunker.chunk(&text, language, 1500);
            check(&text, &chunks, 1500);
        }
    }
}

#[test]
fn a_text_that_takes_too_long_to_parse_is_cut_like_prose() {
    // Each of them makes the parser look for an end in all of the rest.
    let text = "r#\"\n".repeat(50_000);
    let mut chunker = Chunker::new();
    let chunks = chunker.chunk(&text, Language::RUST, 1500);
    assert_eq!(chunks, chunker.chunk(&text, Language::TEXT, 1500));
    check(&text, &chunks, 1500);

    let large = "fn f() {}\n".repeat(110_000);
    let chunks = chunker.chunk(&large, Language::RUST, 1500);
    assert_eq!(chunks, chunker.chunk(&large, Language::TEXT, 1500));

    let after = chunker.chunk(RUST, Language::RUST, 400);
    assert_eq!(after, Chunker::new().chunk(RUST, Language::RUST, 400));
}

fn language() -> impl Strategy<Value = Language> {
    select(vec![Language::RUST, Language::PYTHON, Language::MARKDOWN, Language::TEXT])
}

/// Code and prose in a random order.
fn soup() -> impl Strategy<Value = String> {
    let words = vec![
        "\n",
        "\r\n",
        "\r",
        "\t",
        "    ",
        " ",
        "\n\n",
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        ";",
        ",",
        "::",
        "fn a() {\n",
        "impl A for B {\n",
        "mod m {\n",
        "m! {",
        "/// doc\n",
        "//\n",
        "/*",
        "*/",
        "#[a]\n",
        "class A:\n",
        "def f():\n",
        "if a:\n",
        "@b\n",
        "\"\"\"",
        "'",
        "\"",
        "r#\"",
        "# H\n",
        "## I\n",
        "```\n",
        "é",
        "\u{feff}",
        "\u{2028}",
        "\0",
        "a = 1",
        "return",
        "word word word word word",
    ];
    vec(select(words), 0..120).prop_map(|words| words.concat())
}

/// A real source with parts removed, doubled and replaced.
fn mutated() -> impl Strategy<Value = String> {
    let change = (any::<Index>(), 0..60_usize, "[ -~\n]{0,12}|\r\n|é", any::<bool>());
    (select(vec![RUST, PYTHON, MARKDOWN]), vec(change, 0..12)).prop_map(|(source, changes)| {
        let mut text: Vec<char> = source.chars().collect();
        for (at, removed, added, doubled) in changes {
            let at = at.index(text.len());
            let end = text.len().min(at + removed);
            let old: String = text[at..end].iter().collect();
            let new = if doubled { [old.clone(), added, old].concat() } else { added };
            text.splice(at..end, new.chars());
            text.push(' ');
        }
        text.into_iter().collect()
    })
}

proptest! {
    #[test]
    fn chunks_hold_all_text_once(
        text in prop_oneof!["\\PC{0,200}", "(?s).{0,200}", soup(), mutated()],
        language in language(),
        max_bytes in prop_oneof![1..40_usize, 40..2000_usize],
    ) {
        let mut chunker = Chunker::new();
        let chunks = chunker.chunk(&text, language, max_bytes);
        check(&text, &chunks, max_bytes);
        prop_assert_eq!(&chunks, &chunker.chunk(&text, language, max_bytes));
    }
}
