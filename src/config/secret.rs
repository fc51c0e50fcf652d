//! The database URL and how secrets are kept out of what people read.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// What stands in place of a secret.
const MASK: &str = "***";

/// Characters of a value that an error message shows.
const MAX_SHOWN: usize = 80;

/// Words in the name of a key that make its value a secret.
const SECRET_WORDS: [&str; 6] = ["url", "pass", "secret", "token", "credential", "dsn"];

/// The URL of a PostgreSQL database. `Debug` and `Display` hide the password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

/// A text that is not the URL of a PostgreSQL database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a URL that starts with postgres:// or postgresql://")]
pub struct NotADatabaseUrl;

impl DatabaseUrl {
    /// The URL with its password, for the connection alone.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for DatabaseUrl {
    type Err = NotADatabaseUrl;

    fn from_str(text: &str) -> Result<Self, NotADatabaseUrl> {
        let known = ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme));
        if !known || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(NotADatabaseUrl);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&redact_urls(&self.0))
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "DatabaseUrl({self})")
    }
}

/// A value that is a secret as a whole unless it is a URL, where only the password is one.
pub(super) fn redact_value(value: &str) -> String {
    if value.contains("://") { redact_urls(value) } else { MASK.to_owned() }
}

/// The text without the passwords of the URLs in it.
pub(super) fn redact_urls(text: &str) -> String {
    mask(text, &passwords(text), 0).0
}

/// A text in quotes for an error message, shortened and without the passwords of URLs.
pub(super) fn quoted(text: &str) -> String {
    format!("{:?}", shortened(&redact_urls(text)))
}

/// The beginning of a text that may be very long.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => [text.get(..end).unwrap_or_default(), "…"].concat(),
        None => text.to_owned(),
    }
}

/// A line of the file without its secrets, and where the byte `at` of the line is in the result,
/// counted in characters.
pub(super) fn redact_line(line: &str, at: usize) -> (String, usize) {
    let mut ranges = passwords(line);
    ranges.extend(secret_value(line));
    mask(line, &ranges, at)
}

/// Where the passwords of URLs are: from the `:` of the user to the last `@`, and the parameter
/// `password`. Rather hides too much of a malformed line than too little.
fn passwords(text: &str) -> Vec<Range<usize>> {
    let Some(start) = text.find("://").map(|scheme| scheme + "://".len()) else {
        return Vec::new();
    };
    let rest = text.get(start..).unwrap_or_default();
    let mut ranges = Vec::new();
    if let Some(at) = rest.rfind('@') {
        let colon = rest.get(..at).and_then(|user| user.find(':'));
        ranges.extend(colon.map(|colon| start + colon + 1..start + at));
    } else {
        // Without an @ this may still be a URL cut off in the password; a port is digits.
        let end = rest.find(|c: char| c.is_whitespace() || "/?#,}\"'".contains(c));
        let authority = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        let host = authority.rfind(']').map_or(0, |bracket| bracket + 1);
        let port = authority.get(host..).and_then(|name| name.split_once(':'));
        if let Some((_, port)) = port.filter(|(_, port)| !port.bytes().all(|b| b.is_ascii_digit()))
        {
            ranges.push(start + authority.len() - port.len()..start + authority.len());
        }
    }
    let parameter = rest.to_ascii_lowercase().find("password=").map(|at| at + "password=".len());
    if let Some(at) = parameter {
        let value = rest.get(at..).unwrap_or_default();
        ranges.push(start + at..start + at + value.find('&').unwrap_or(value.len()));
    }
    ranges
}

/// Where the value is in a line such as `password: x`. It may go on to the end of the line.
fn secret_value(line: &str) -> Option<Range<usize>> {
    line.match_indices(':').find_map(|(colon, _)| {
        let (before, after) = (line.get(..colon)?, line.get(colon + 1..)?);
        let in_key = |c: char| c.is_alphanumeric() || "_-\"' ".contains(c);
        let key = before.rsplit(|c| !in_key(c)).next()?.to_ascii_lowercase();
        let shown = after.trim();
        // A URL and a reference show more than they hide.
        let url = shown.split_whitespace().next()?.contains("://");
        let reference = shown.starts_with("${") && !shown.contains(":-");
        let secret = SECRET_WORDS.iter().any(|word| key.contains(word));
        let start = line.len() - after.trim_start().len();
        (secret && !url && !reference).then_some(start..line.len())
    })
}

fn mask(text: &str, ranges: &[Range<usize>], at: usize) -> (String, usize) {
    let mut result = String::with_capacity(text.len());
    let mut column = None;
    let mut written = 0;
    let mut inside = false;
    for (index, character) in text.char_indices() {
        let secret = ranges.iter().any(|range| range.contains(&index));
        if index >= at && column.is_none() {
            column = Some(written);
        }
        match (secret, inside) {
            (true, true) => {}
            (true, false) => {
                result.push_str(MASK);
                written += MASK.len();
            }
            (false, _) => {
                result.push(character);
                written += 1;
            }
        }
        inside = secret;
    }
    (result, column.unwrap_or(written))
}
