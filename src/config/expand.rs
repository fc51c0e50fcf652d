//! `${NAME}` and `${NAME:-default}` in the values of the file.

use std::borrow::Cow;

use super::environment::Environment;
use super::secret::{redact_urls, shortened};

/// A value after expansion.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Expanded<'t> {
    /// The text stands as it was written, apart from `$$`.
    Written(Cow<'t, str>),
    /// Some of the text comes from the environment or a default in it.
    Inserted(String),
}

/// Why a value does not expand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    /// The variable is not set, and there is no default.
    #[error("the environment variable {name} is not set")]
    Unset {
        /// The variable.
        name: String,
    },
    /// The variable's value is not Unicode.
    #[error("the value of the environment variable {name} is not Unicode")]
    NotUnicode {
        /// The variable.
        name: String,
    },
    /// There is something else than a name between the braces.
    #[error("{name:?} is not the name of an environment variable")]
    BadName {
        /// What stands in place of a name.
        name: String,
    },
    /// `${` without `}`.
    #[error("${{ is not closed")]
    Unclosed,
}

impl ExpandError {
    pub(super) fn fix(&self) -> String {
        match self {
            Self::Unset { name } => format!("set it, or give a default: ${{{name}:-default}}"),
            Self::NotUnicode { name } => format!("set {name} to text"),
            Self::BadName { .. } => {
                "write ${NAME} with letters, digits and _, or $$ for a dollar sign".to_owned()
            }
            Self::Unclosed => "add the closing }, or write $$ for a dollar sign".to_owned(),
        }
    }
}

/// Expands a text once: what is inserted is not expanded again. A `$` before anything but `{` and
/// `$` stands for itself.
pub(super) fn expand<'t>(
    text: &'t str,
    environment: &Environment,
) -> Result<Expanded<'t>, ExpandError> {
    if !text.contains('$') {
        return Ok(Expanded::Written(Cow::Borrowed(text)));
    }
    let mut result = String::with_capacity(text.len());
    let mut inserted = false;
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        result.push_str(before);
        rest = if let Some(after) = after.strip_prefix('{') {
            let (reference, after) = after.split_once('}').ok_or(ExpandError::Unclosed)?;
            result.push_str(lookup(reference, environment)?);
            inserted = true;
            after
        } else {
            result.push('$');
            after.strip_prefix('$').unwrap_or(after)
        };
    }
    result.push_str(rest);
    Ok(if inserted { Expanded::Inserted(result) } else { Expanded::Written(Cow::Owned(result)) })
}

/// The value of `NAME` or `NAME:-default`. As in a shell, the default also replaces an empty value.
fn lookup<'v>(reference: &'v str, environment: &'v Environment) -> Result<&'v str, ExpandError> {
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !starts_well || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(ExpandError::BadName { name: shortened(&redact_urls(name)) });
    }
    let value = environment.variables.get(name).map(|value| {
        value.to_str().ok_or_else(|| ExpandError::NotUnicode { name: name.to_owned() })
    });
    match (value.transpose()?, default) {
        (None | Some(""), Some(default)) => Ok(default),
        (Some(value), _) => Ok(value),
        (None, None) => Err(ExpandError::Unset { name: name.to_owned() }),
    }
}
