//! The definitions of a text as a tree, and the pieces of text that belong to them.

use std::iter;
use std::ops::Range;

use crate::index::ChunkKind;

/// A symbol is cut after so many characters.
const MAX_SYMBOL: usize = 200;

/// A definition, or the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Scope(usize);

/// What there is to know about a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Definition {
    pub(super) kind: ChunkKind,
    /// Its name with those of the definitions around it.
    pub(super) symbol: Option<String>,
    /// What the symbols of its members start with.
    pub(super) prefix: Option<String>,
}

/// Lines that stay together. The pieces of a text are in order and leave out blank lines only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// Fits into a chunk or is a single line.
    pub(super) lines: Range<usize>,
    /// The innermost definition that is in more than one piece and holds this one.
    pub(super) container: Scope,
    /// The definition that is this piece, as a whole; or the container.
    pub(super) scope: Scope,
}

/// All definitions found. The text itself is [`Scopes::TEXT`].
#[derive(Debug)]
pub(super) struct Scopes(Vec<(Scope, Definition)>);

impl Scopes {
    /// The scope around all others.
    pub(super) const TEXT: Scope = Scope(0);

    /// Starts with the text itself.
    pub(super) fn new(kind: ChunkKind) -> Self {
        Self(vec![(Self::TEXT, Definition { kind, symbol: None, prefix: None })])
    }

    /// Adds a definition inside of `parent`.
    pub(super) fn add(&mut self, parent: Scope, definition: Definition) -> Scope {
        self.0.push((parent, definition));
        Scope(self.0.len() - 1)
    }

    pub(super) fn get(&self, scope: Scope) -> &Definition {
        &self.entry(scope).1
    }

    /// `scope` and those around it, without the text itself.
    pub(super) fn chain(&self, scope: Scope) -> impl Iterator<Item = Scope> {
        let inside = |scope: &Scope| *scope != Self::TEXT;
        iter::successors(Some(scope).filter(inside), move |scope| {
            Some(self.entry(*scope).0).filter(inside)
        })
    }

    /// Whether `inner` is `outer` or inside of it.
    pub(super) fn is_within(&self, inner: Scope, outer: Scope) -> bool {
        outer == Self::TEXT || self.chain(inner).any(|scope| scope == outer)
    }

    fn entry(&self, scope: Scope) -> &(Scope, Definition) {
        self.0.get(scope.0).expect("a scope comes from `add`, and none is ever removed")
    }
}

impl Definition {
    /// A definition called `name` whose members are called after it.
    pub(super) fn new(kind: ChunkKind, outer: &Self, separator: &str, name: &str) -> Self {
        let symbol = join(outer.prefix.as_deref(), separator, name);
        Self { kind, prefix: Some(symbol.clone()), symbol: Some(symbol) }
    }
}

/// Appends `name` to `prefix`, with runs of whitespace replaced by spaces.
pub(super) fn join(prefix: Option<&str>, separator: &str, name: &str) -> String {
    let prefix = prefix.into_iter().flat_map(|prefix| [prefix, separator]);
    let words = name.split_whitespace().enumerate();
    let words = words.flat_map(|(i, word)| [if i > 0 { " " } else { "" }, word]);
    prefix.chain(words).flat_map(str::chars).take(MAX_SYMBOL).collect()
}
