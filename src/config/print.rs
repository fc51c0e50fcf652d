//! Writes a configuration as YAML that reads back as the same configuration.

use super::keys::Draft;

/// All keys that have an effect, section by section. `comment` may say something about a key.
/// Secrets are masked, and a path that is not Unicode is written as well as it can be.
pub(super) fn yaml(mut draft: Draft, comment: impl Fn(&str) -> Option<String>) -> String {
    let mut result = String::new();
    let mut open: Vec<&str> = Vec::new();
    for key in draft.effective_keys() {
        let mut sections: Vec<&str> = key.path.split('.').collect();
        let name = sections.pop().unwrap_or_default();
        let shared = open.iter().zip(&sections).take_while(|(one, other)| one == other).count();
        for (depth, section) in sections.iter().enumerate().skip(shared) {
            result.extend(["  ".repeat(depth).as_str(), section, ":\n"]);
        }
        let value = key.slot.print();
        result.extend(["  ".repeat(sections.len()).as_str(), name, ": "]);
        result.push_str(value.as_deref().unwrap_or("null"));
        if let Some(comment) = comment(key.path) {
            result.extend(["  # ", &comment.replace(char::is_control, " ")]);
        }
        result.push('\n');
        open = sections;
    }
    result
}
