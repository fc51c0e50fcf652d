//! Definitions of Rust.

use tree_sitter::Node;

use crate::index::ChunkKind;
use crate::index::chunk::scopes::{Definition, join};
use crate::index::chunk::syntax::{Grammar, field};

pub(super) const GRAMMAR: Grammar = Grammar { define, leads, items };

fn define(node: Node<'_>, text: &str, outer: &Definition) -> Option<Definition> {
    let kind = match node.kind() {
        "function_item" | "function_signature_item" | "macro_definition" => ChunkKind::Function,
        "struct_item" | "enum_item" | "union_item" | "trait_item" => ChunkKind::Type,
        "type_item" if outer.kind != ChunkKind::Implementation => ChunkKind::Type,
        "const_item" | "static_item" => ChunkKind::Constant,
        "mod_item" if node.child_by_field_name("body").is_some() => ChunkKind::Module,
        "impl_item" => return implementation(node, text),
        _ => return None,
    };
    Some(Definition::new(kind, outer, "::", field(node, "name", text)?))
}

/// Names `impl<T> Trait<T> for module::Type<T>` by `impl Trait<T> for Type`, and its members by `Type`.
fn implementation(node: Node<'_>, text: &str) -> Option<Definition> {
    let name = text.get(base(node.child_by_field_name("type")?).byte_range())?;
    let symbol = match field(node, "trait", text) {
        Some(of) => format!("impl {of} for {name}"),
        None => format!("impl {name}"),
    };
    Some(Definition {
        kind: ChunkKind::Implementation,
        symbol: Some(join(None, "", &symbol)),
        prefix: Some(join(None, "", name)),
    })
}

/// Strips references, paths and generic arguments from a type.
fn base(mut node: Node<'_>) -> Node<'_> {
    loop {
        let inner = match node.kind() {
            "generic_type" | "reference_type" | "pointer_type" => "type",
            "scoped_type_identifier" => "name",
            _ => return node,
        };
        match node.child_by_field_name(inner) {
            Some(inner) => node = inner,
            None => return node,
        }
    }
}

fn leads(node: Node<'_>) -> bool {
    matches!(node.kind(), "line_comment" | "block_comment" | "attribute_item")
}

/// Macros such as `cfg_if! { .. }` have items in their braces.
fn items(node: Node<'_>) -> Option<Node<'_>> {
    let invocation = match node.kind() {
        "macro_invocation" => node,
        "expression_statement" => node.child(0).filter(|it| it.kind() == "macro_invocation")?,
        _ => return None,
    };
    let body = invocation.child(invocation.child_count().checked_sub(1)?)?;
    (body.kind() == "token_tree" && body.child(0)?.kind() == "{").then_some(body)
}
