//! Text from elsewhere, made fit for a line of a terminal.

/// The text on one line: line breaks and other control characters become spaces, so that an error message
/// can neither break a table nor colour a terminal.
pub(super) fn one_line(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    line.trim().to_owned()
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn list(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_become_spaces() {
        assert_eq!(one_line("\ta\r\nb\u{1b}[31mc\u{7}\n"), "a  b [31mc");
    }

    #[test]
    fn lists_read_well() {
        let words = ["a", "b", "c"];
        let said: Vec<_> = (0..=3).map(|n| list(&words[..n])).collect();
        assert_eq!(said, ["", "a", "a and b", "a, b and c"]);
    }
}
