//! HTML as a growing text, and other text inside it.

use std::fmt::{self, Display, Write};

/// Appends to the page.
pub(crate) fn put(page: &mut String, text: fmt::Arguments<'_>) {
    page.write_fmt(text).expect("a string grows as needed");
}

/// A text that is shown with everything escaped that means something in an element or a quoted attribute.
/// Control characters other than line breaks and tabs, which HTML has no place for, are replaced.
pub(crate) struct Escaped<T>(pub(crate) T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaper(f), "{}", self.0)
    }
}

struct Escaper<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Escaper<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| match c {
            '&' => self.0.write_str("&amp;"),
            '<' => self.0.write_str("&lt;"),
            '>' => self.0.write_str("&gt;"),
            '"' => self.0.write_str("&quot;"),
            '\'' => self.0.write_str("&#39;"),
            '\n' | '\t' => self.0.write_char(c),
            c if c.is_control() => self.0.write_char('\u{fffd}'),
            c => self.0.write_char(c),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unescaped(text: &str) -> String {
        text.replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"")
            .replace("&#39;", "'")
            .replace("&amp;", "&")
    }

    proptest! {
        #[test]
        fn any_text_is_shown_as_it_is(text in "(\\PC|[<>&'\"\n\t]|&lt;|</script>){0,60}") {
            let escaped = Escaped(&text).to_string();
            prop_assert!(!escaped.contains(['<', '>', '"', '\'']));
            prop_assert_eq!(unescaped(&escaped), text);
        }
    }

    #[test]
    fn control_characters_are_replaced() {
        assert_eq!(Escaped("a\0b\u{1b}[1m\r\n").to_string(), "a\u{fffd}b\u{fffd}[1m\u{fffd}\n");
    }
}
