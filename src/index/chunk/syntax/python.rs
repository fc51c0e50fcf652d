//! Definitions of Python.

use tree_sitter::Node;

use crate::index::ChunkKind;
use crate::index::chunk::scopes::Definition;
use crate::index::chunk::syntax::{Grammar, field};

pub(super) const GRAMMAR: Grammar = Grammar { define, leads, items: |_| None };

fn define(node: Node<'_>, text: &str, outer: &Definition) -> Option<Definition> {
    let (kind, name) = match node.kind() {
        "decorated_definition" => {
            return define(node.child_by_field_name("definition")?, text, outer);
        }
        "function_definition" => (ChunkKind::Function, field(node, "name", text)?),
        "class_definition" => (ChunkKind::Type, field(node, "name", text)?),
        "expression_statement" if outer.kind != ChunkKind::Function => {
            (ChunkKind::Constant, constant(node, text)?)
        }
        _ => return None,
    };
    Some(Definition::new(kind, outer, ".", name))
}

/// Returns the name in `NAME = value`. Names of variables are not in capitals.
fn constant<'t>(statement: Node<'_>, text: &'t str) -> Option<&'t str> {
    let assignment = statement.child(0).filter(|child| child.kind() == "assignment")?;
    let name = field(assignment, "left", text)?;
    let capitals = name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    (capitals && name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')).then_some(name)
}

fn leads(node: Node<'_>) -> bool {
    node.kind() == "comment"
}
