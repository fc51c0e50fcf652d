//! Cuts a text along its syntax tree.
//!
//! Children of a node that start on a line of their own are the places to cut. Whatever does not fit
//! into a chunk is cut at the children of its largest node, until it fits or there is nothing left but
//! lines.

use std::cell::Cell;
use std::ops::{ControlFlow, Range};

use tree_sitter::{Node, ParseOptions, ParseState, Parser, Tree};

use crate::index::ChunkKind;
use crate::index::chunk::lines::Lines;
use crate::index::chunk::prose::paragraphs;
use crate::index::chunk::scopes::{Definition, Piece, Scope, Scopes};

mod python;
mod rust;

/// Larger texts are generated, and their trees take several times their size. Bytes.
const MAX_PARSED: usize = 1024 * 1024;

/// The parser reads so much at once. Bytes.
const READ: usize = 1024;

/// The parser may take so many steps for each read that would be enough: reads, and questions, asked
/// after a fixed number of operations, whether to go on. Source code takes half of that; input that
/// makes a parser read everything again and again takes hundreds of times more.
const STEPS_PER_READ: usize = 128;
const LEAST_STEPS: usize = 1000;

/// A comment of at most so many lines belongs to what follows, even after a blank line.
const BANNER: usize = 3;

/// Deeper nodes are cut into lines.
const MAX_DEPTH: usize = 64;

/// A parser and what it takes to read its trees.
pub(super) struct Syntax {
    parser: Parser,
    grammar: Grammar,
}

/// How the trees of a language are read.
#[derive(Debug, Clone, Copy)]
struct Grammar {
    /// Returns the definition that a node is, given the one around it.
    define: fn(Node<'_>, &str, &Definition) -> Option<Definition>,
    /// Whether a node belongs to the next one: a comment or an attribute.
    leads: fn(Node<'_>) -> bool,
    /// Returns the part of a node that the parser left as tokens, in braces, and that may hold items.
    items: fn(Node<'_>) -> Option<Node<'_>>,
}

/// Nodes on neighboring lines that are not cut apart, as yet.
struct Segment<'t> {
    first_line: usize,
    last_line: usize,
    nodes: Vec<Node<'t>>,
    /// Whether it ends with a comment or attribute and has nothing else.
    leads: bool,
}

/// What is cut and where the pieces go.
struct Cutter<'a> {
    parser: &'a mut Parser,
    grammar: Grammar,
    lines: &'a Lines<'a>,
    max_bytes: usize,
    /// The steps that the parser may still take.
    steps: Cell<usize>,
    pieces: Vec<Piece>,
    scopes: Scopes,
}

impl Syntax {
    pub(super) fn rust() -> Self {
        Self::new(&tree_sitter_rust::LANGUAGE.into(), rust::GRAMMAR)
    }

    pub(super) fn python() -> Self {
        Self::new(&tree_sitter_python::LANGUAGE.into(), python::GRAMMAR)
    }

    fn new(language: &tree_sitter::Language, grammar: Grammar) -> Self {
        let mut parser = Parser::new();
        parser.set_language(language).expect("the grammar is linked in a version that fits");
        Self { parser, grammar }
    }

    /// Returns `None` if the text is too large or too confusing to parse.
    pub(super) fn split(
        &mut self,
        lines: &Lines<'_>,
        max_bytes: usize,
    ) -> Option<(Vec<Piece>, Scopes)> {
        if lines.text().len() > MAX_PARSED {
            return None;
        }
        let mut cutter = Cutter {
            parser: &mut self.parser,
            grammar: self.grammar,
            lines,
            max_bytes,
            steps: Cell::new(LEAST_STEPS + lines.text().len() / READ * STEPS_PER_READ),
            pieces: Vec::new(),
            scopes: Scopes::new(ChunkKind::Module),
        };
        let tree = cutter.parse(&[])?;
        cutter.cut(children(tree.root_node()), lines.all(), Scopes::TEXT, 0);
        Some((cutter.pieces, cutter.scopes))
    }
}

impl Cutter<'_> {
    /// Parses the given parts of the text, or all of it.
    fn parse(&mut self, parts: &[tree_sitter::Range]) -> Option<Tree> {
        self.parser.set_included_ranges(parts).ok()?;
        let text = self.lines.text().as_bytes();
        let steps = &self.steps;
        let mut read = |from: usize, _| {
            steps.set(steps.get().saturating_sub(1));
            let rest = text.get(from..).unwrap_or_default();
            rest.get(..READ).unwrap_or(rest)
        };
        let mut go_on = |_: &ParseState| {
            steps.set(steps.get().saturating_sub(1));
            if steps.get() > 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let options = ParseOptions::new().progress_callback(&mut go_on);
        let tree = self.parser.parse_with_options(&mut read, None, Some(options));
        // A parser that was stopped would go on with the old text.
        self.parser.reset();
        tree.filter(|_| steps.get() > 0)
    }

    /// Cuts the lines of `region`, in which `nodes` lie.
    fn cut(&mut self, nodes: Vec<Node<'_>>, region: Range<usize>, container: Scope, depth: usize) {
        let segments = self.segments(nodes, &region);
        let ends: Vec<_> = segments.iter().skip(1).map(|segment| segment.first_line).collect();
        let mut start = region.start;
        for (segment, end) in segments.into_iter().zip(ends.into_iter().chain([region.end])) {
            self.place(segment.nodes, start..end, container, depth);
            start = end;
        }
        // Without nodes there is only whitespace, or text that the parser gave up on.
        self.lines_of(start..region.end, container);
    }

    /// Makes a piece of `nodes`, which fill `region`, or pieces if they do not fit.
    fn place(
        &mut self,
        nodes: Vec<Node<'_>>,
        region: Range<usize>,
        container: Scope,
        depth: usize,
    ) {
        let outer = self.scopes.get(container);
        let text = self.lines.text();
        let Some(definition) =
            nodes.iter().find_map(|node| (self.grammar.define)(*node, text, outer))
        else {
            if !self.place_items(&nodes, &region, container, depth) {
                self.place_whole(nodes, region, container, container, depth);
            }
            return;
        };
        let scope = self.scopes.add(container, definition);
        self.place_whole(nodes, region, container, scope, depth);
    }

    /// Makes one piece if it fits. Else tries to keep the code in one piece, apart from the comments
    /// before it.
    fn place_whole(
        &mut self,
        mut nodes: Vec<Node<'_>>,
        region: Range<usize>,
        container: Scope,
        scope: Scope,
        depth: usize,
    ) {
        if self.fits(&region) {
            self.pieces.push(Piece { lines: self.lines.trim(region), container, scope });
            return;
        }
        let comments = nodes.iter().take_while(|node| node.is_extra()).count();
        let code = nodes.split_off(comments);
        let Some(first) = code.first() else { return self.lines_of(region, scope) };
        let border = rows(*first).0.clamp(region.start, region.end);
        self.lines_of(region.start..border, scope);
        let region = border..region.end;
        if self.fits(&region) {
            let lines = self.lines.trim(region);
            self.pieces.push(Piece { lines, container: scope, scope });
            return;
        }
        match expand(code) {
            Some(nodes) if depth < MAX_DEPTH => self.cut(nodes, region, scope, depth + 1),
            _ => self.lines_of(region, scope),
        }
    }

    /// Cuts a macro at the items in it, if it has nothing else. Tells whether it did.
    fn place_items(
        &mut self,
        nodes: &[Node<'_>],
        region: &Range<usize>,
        container: Scope,
        depth: usize,
    ) -> bool {
        let in_function = self.scopes.get(container).kind == ChunkKind::Function;
        let tokens = nodes.iter().find_map(|node| (self.grammar.items)(*node));
        let Some(tokens) = tokens.filter(|_| !in_function && depth < MAX_DEPTH) else {
            return false;
        };
        let Some(part) = without_braces(tokens) else { return false };
        let Some(tree) = self.parse(&[part]) else { return false };
        let root = tree.root_node();
        let items = children(root);
        let outer = self.scopes.get(container);
        let is_item = |node: &Node<'_>| {
            (self.grammar.define)(*node, self.lines.text(), outer).is_some()
                || (self.grammar.items)(*node).is_some()
        };
        if root.has_error() || !items.iter().any(is_item) {
            return false;
        }
        self.cut(items, region.clone(), container, depth + 1);
        true
    }

    fn fits(&self, region: &Range<usize>) -> bool {
        self.lines.bytes(region.clone()).len() <= self.max_bytes
    }

    fn lines_of(&mut self, region: Range<usize>, container: Scope) {
        paragraphs(self.lines, region, container, self.max_bytes, &mut self.pieces);
    }

    /// Groups nodes that share lines, and those that a cut would take from where they belong.
    fn segments<'t>(&self, nodes: Vec<Node<'t>>, region: &Range<usize>) -> Vec<Segment<'t>> {
        let mut segments: Vec<Segment<'t>> = Vec::new();
        for node in nodes {
            let (first_line, last_line) = rows(node);
            let leads = (self.grammar.leads)(node);
            match segments.last_mut() {
                Some(segment)
                    if first_line <= segment.last_line
                        || completes(node)
                        || segment.leads
                            && (segment.last_line - segment.first_line < BANNER
                                || !self.lines.is_blank(first_line - 1)) =>
                {
                    segment.leads &= leads;
                    segment.last_line = segment.last_line.max(last_line);
                    segment.nodes.push(node);
                }
                _ if first_line < region.end => {
                    segments.push(Segment { first_line, last_line, nodes: vec![node], leads });
                }
                _ => {}
            }
        }
        segments
    }
}

/// Replaces the largest node by its children. `None` if no node spans lines and has children.
fn expand(nodes: Vec<Node<'_>>) -> Option<Vec<Node<'_>>> {
    let can_be_cut = |node: &Node<'_>| {
        let (first_line, last_line) = rows(*node);
        first_line < last_line && node.child_count() > 0
    };
    let candidates = nodes.iter().filter(|node| can_be_cut(node));
    let largest = candidates.max_by_key(|node| node.byte_range().len())?.id();
    let mut expanded = Vec::with_capacity(nodes.len());
    for node in nodes {
        if node.id() == largest {
            expanded.extend(node.children(&mut node.walk()));
        } else {
            expanded.push(node);
        }
    }
    Some(expanded)
}

/// Returns the first and the last line with a character of the node.
fn rows(node: Node<'_>) -> (usize, usize) {
    let (first, end) = (node.start_position().row, node.end_position());
    // Some comments hold the line break after them.
    (first, if end.column == 0 { end.row.saturating_sub(1).max(first) } else { end.row })
}

/// Whether the node ends, or opens, what the one before it began.
fn completes(node: Node<'_>) -> bool {
    matches!(
        node.kind(),
        "}" | ")"
            | "]"
            | ">"
            | "{"
            | ";"
            | ","
            | ":"
            | "where_clause"
            | "block"
            | "declaration_list"
            | "field_declaration_list"
    )
}

/// Returns where the tokens between two braces are.
fn without_braces(tokens: Node<'_>) -> Option<tree_sitter::Range> {
    let open = tokens.child(0)?.range();
    let close = tokens.child(tokens.child_count().checked_sub(1)?)?.range();
    (open.end_byte <= close.start_byte).then_some(tree_sitter::Range {
        start_byte: open.end_byte,
        end_byte: close.start_byte,
        start_point: open.end_point,
        end_point: close.start_point,
    })
}

fn children(node: Node<'_>) -> Vec<Node<'_>> {
    node.children(&mut node.walk()).collect()
}

/// Returns the text of a field of `node`.
fn field<'t>(node: Node<'_>, name: &str, text: &'t str) -> Option<&'t str> {
    text.get(node.child_by_field_name(name)?.byte_range())
}
