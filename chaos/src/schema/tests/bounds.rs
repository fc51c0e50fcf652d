//! Times and numbers beyond what can be carried out.

use super::*;

#[test]
fn what_is_too_long_or_too_often_is_shown_where_it_is() {
    let cases = [
        ("at: 2s, for: 1s", "at: 10000000000000000000s, for: 10000000000000000000s"),
        ("warmup: 1s, steady: 2s", "warmup: 10000000000000000000s, steady: 10000000000000000000s"),
        ("every: 500ms", "every: 1us"),
        ("lt: 2100ms", "lt: 25h"),
        ("outage: 10s", "outage: 1s..25h"),
        ("use: half-open, with: { heal: close }", "kind: proxy.latency, with: { delay: 25h }"),
    ];
    insta::assert_snapshot!(told_of(&cases));
}

#[test]
fn what_is_set_on_the_command_line_has_the_same_bounds() {
    let set = |name: &str, value: &str, text: &str| {
        let params = [(name.to_owned(), value.to_owned())].into();
        let read = read(text, &Overrides { params, ..Overrides::default() });
        read.map_or_else(|errors| errors.to_string(), |_| String::new())
    };
    assert_eq!(set("outage", "24h", &GOOD.replace("wall: 90s", "wall: 24h")).lines().count(), 3);
    let told = set("outage", "24.1h", GOOD);
    let rule = "good.yaml:17:21: faults[1].for: `24.1h` is longer than 24h, and no time may be";
    assert!(told.starts_with(rule), "{told}");
    let text = GOOD.replace("every: 500ms", "every: \"${often}\"");
    let text = text.replace("params: {", "params: { often: 500ms,");
    assert_eq!(set("often", "500us", &text), "");
    let told = set("often", "499us", &text);
    let rule =
        "good.yaml:18:43: every 499us for 5s are 10021 times, and one fault may happen 10000 times";
    assert!(told.starts_with(rule), "{told}");
}
