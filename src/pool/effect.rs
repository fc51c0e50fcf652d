//! What a statement leaves behind in its session, read off its text.

/// What a statement leaves behind for the next borrower of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing.
    None,
    /// Possibly a setting, a transaction, a lock, a cursor, a temporary table or a subscription.
    Session,
    /// Prepared statements that the driver believes in may be gone, or others be there.
    Plans,
}

/// Statements that change rows at most, when nothing in them says otherwise.
const HARMLESS: [&str; 10] =
    ["select", "insert", "update", "delete", "merge", "with", "values", "table", "explain", "show"];
const PLANS: [&str; 3] = ["deallocate", "discard", "prepare"];

/// Judges by the first word, by words that change the session in spite of it, and by whether there is a second
/// statement. In doubt it says [`Effect::Session`], which costs a reset and no more; a function of the
/// user's own that changes the session is not seen.
pub(super) fn effect_of(sql: &str) -> Effect {
    let sql = without_comments(sql);
    let mut words = sql.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let first = words.find(|word| !word.is_empty()).unwrap_or_default();
    let is_one_of = |list: &[&str]| list.iter().any(|word| first.eq_ignore_ascii_case(word));
    if is_one_of(&PLANS) {
        return Effect::Plans;
    }
    let several = sql.trim_end().trim_end_matches(';').contains(';');
    if several && PLANS.iter().any(|plan| words.clone().any(|word| word.eq_ignore_ascii_case(plan)))
    {
        return Effect::Plans;
    }
    if several || !is_one_of(&HARMLESS) || words.any(changes_session) {
        return Effect::Session;
    }
    Effect::None
}

/// Functions and clauses that outlive a statement that otherwise only touches rows.
fn changes_session(word: &str) -> bool {
    match word.len() {
        4 => word.eq_ignore_ascii_case("temp"),
        7 => ["pg_temp", "setseed"].iter().any(|other| word.eq_ignore_ascii_case(other)),
        9 => word.eq_ignore_ascii_case("temporary"),
        10 => word.eq_ignore_ascii_case("set_config"),
        // A view that sets what is written into it.
        11 => word.eq_ignore_ascii_case("pg_settings"),
        // pg_advisory_lock, pg_try_advisory_lock and their shared kind.
        16.. => word.to_ascii_lowercase().contains("advisory_lock"),
        _ => false,
    }
}

/// The text from its first word on.
fn without_comments(sql: &str) -> &str {
    let mut rest = sql.trim_start();
    loop {
        let after = if let Some(comment) = rest.strip_prefix("--") {
            comment.split_once('\n').map_or("", |(_, after)| after)
        } else if let Some(comment) = rest.strip_prefix("/*") {
            after_comment(comment)
        } else if let Some(inside) = rest.strip_prefix('(') {
            inside
        } else {
            return rest;
        };
        rest = after.trim_start();
    }
}

/// What follows a block comment whose beginning was cut off; they nest.
fn after_comment(inside: &str) -> &str {
    let (mut rest, mut depth) = (inside, 1);
    while depth > 0 {
        let end = rest.find("*/").unwrap_or(rest.len());
        let begin = rest.find("/*").filter(|begin| *begin < end);
        depth = if begin.is_some() { depth + 1 } else { depth - 1 };
        rest = rest.get(begin.unwrap_or(end) + 2..).unwrap_or("");
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_tells_what_a_statement_leaves_behind() {
        for (sql, expected) in [
            ("SELECT 1", Effect::None),
            ("  select now();  ", Effect::None),
            ("-- why\n/* what */ (SELECT 1) UNION (SELECT 2)", Effect::None),
            ("/* a /* b */ c */ SELECT 1", Effect::None),
            ("/* a /* b */ SELECT 1 */ SET x = 1", Effect::Session),
            ("/* without an end SELECT 1", Effect::Session),
            ("UPDATE pg_settings SET setting = '1' WHERE name = 'x'", Effect::Session),
            ("SELECT 1 AS id INTO pg_temp.t", Effect::Session),
            ("WITH a AS (SELECT 1) INSERT INTO b SELECT * FROM a", Effect::None),
            ("UPDATE settings SET locked = true", Effect::None),
            ("SELECT pg_advisory_xact_lock(1)", Effect::None),
            ("SELECT setseed(0.5)", Effect::Session),
            ("", Effect::Session),
            ("BEGIN", Effect::Session),
            ("SET search_path TO other", Effect::Session),
            ("set role other", Effect::Session),
            ("LISTEN events", Effect::Session),
            ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", Effect::Session),
            ("CREATE TEMP TABLE t (id int)", Effect::Session),
            ("SELECT 1 AS id INTO TEMP t", Effect::Session),
            ("SELECT set_config('search_path', 'other', false)", Effect::Session),
            ("SELECT Pg_Try_Advisory_Lock_Shared(1)", Effect::Session),
            ("SELECT 1; SET search_path TO other", Effect::Session),
            ("DO $$ BEGIN PERFORM 1; END $$", Effect::Session),
            ("DEALLOCATE ALL", Effect::Plans),
            ("discard plans", Effect::Plans),
            ("PREPARE p AS SELECT 1", Effect::Plans),
            ("SELECT 1; DISCARD ALL", Effect::Plans),
        ] {
            assert_eq!(effect_of(sql), expected, "{sql}");
        }
    }
}
