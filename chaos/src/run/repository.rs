//! A small repository for the server to index: enough that a search reads tables and compares vectors, and
//! the same in every run.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What the pieces of code are about; each becomes a file with a few functions.
const SUBJECTS: [(&str, [&str; 4]); 12] = [
    ("timer", ["fire", "schedule", "cancel", "advance"]),
    ("cache", ["evict", "lookup", "insert", "expire"]),
    ("parser", ["tokenize", "parse", "recover", "report"]),
    ("router", ["match", "register", "dispatch", "fallback"]),
    ("queue", ["push", "pop", "drain", "wait"]),
    ("session", ["open", "renew", "close", "authenticate"]),
    ("index", ["build", "merge", "search", "compact"]),
    ("socket", ["connect", "accept", "read", "shutdown"]),
    ("config", ["load", "validate", "reload", "print"]),
    ("metric", ["record", "observe", "export", "reset"]),
    ("lock", ["acquire", "release", "renew", "steal"]),
    ("image", ["decode", "scale", "rotate", "encode"]),
];

/// Writes the repository below `folder` and gives its root.
pub(super) fn write(folder: &Path) -> io::Result<PathBuf> {
    let root = folder.join("repository");
    fs::create_dir_all(root.join("src"))?;
    fs::create_dir_all(root.join("tools"))?;
    for (subject, verbs) in &SUBJECTS {
        fs::write(root.join(format!("src/{subject}.rs")), rust(subject, verbs))?;
        fs::write(root.join(format!("tools/{subject}.py")), python(subject, verbs))?;
    }
    Ok(root)
}

fn rust(subject: &str, verbs: &[&str]) -> String {
    let functions = verbs.iter().map(|verb| {
        format!(
            "\n/// Lets the {subject} {verb}, and says how many entries that touched.\n\
             pub fn {verb}_{subject}(entries: &mut Vec<u64>, now: u64) -> usize {{\n    \
                 let before = entries.len();\n    \
                 entries.retain(|entry| *entry > now);\n    \
                 before - entries.len()\n}}\n"
        )
    });
    let functions: String = functions.collect();
    format!("//! How a {subject} works.\n{functions}")
}

fn python(subject: &str, verbs: &[&str]) -> String {
    let functions = verbs.iter().map(|verb| {
        format!(
            "\n\ndef {verb}_{subject}(client, name):\n    \
                 \"\"\"Ask the service to {verb} the {subject} with this name.\"\"\"\n    \
                 answer = client.post(f\"/{subject}/{{name}}/{verb}\")\n    \
                 return answer.json()[\"touched\"]\n"
        )
    });
    let functions: String = functions.collect();
    format!("\"\"\"Commands for the {subject} service.\"\"\"\n{functions}")
}
