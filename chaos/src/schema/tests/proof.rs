//! Events that prove the faults, and those that prove nothing.

use super::*;

#[test]
fn what_proves_nothing_is_shown_where_it_is_with_what_would() {
    let cases = [
        ("event: proxy.connection_cut, min: 2", "event: proxy.connection_cut, max: 5"),
        ("event: proxy.connection_cut, min: 2", "event: proxy.toxic_added"),
        (
            "event: proxy.connection_cut, min: 2",
            "event: pool.connection.closed, where: { reasn: abandoned }",
        ),
        (
            "  sometimes:",
            "  occurs:\n    - { event: server.exited, where: { zzz: 1 }, max: 0 }\n  sometimes:",
        ),
        ("event: proxy.connection_cut, min: 2", "event: pool.phase.changed"),
        (
            "event: proxy.connection_cut, min: 2",
            "event: pool.phase.changed, where: { to: UNHEALTHY }, min: 0",
        ),
    ];
    insta::assert_snapshot!(told_of(&cases));
}

#[test]
fn one_event_that_proves_the_faults_is_enough() {
    let wanted = "event: proxy.connection_cut, min: 2";
    for others in [
        "event: proxy.toxic_added } \n    - { event: proxy.connection_cut",
        "event: proxy.connection_cut, max: 5 }\n    - { event: pool.health.red, in: fault",
        "event: pool.phase.changed, where: { to: UNHEALTHY }",
    ] {
        assert_eq!(changed(wanted, others), "", "{others}");
    }
    for ordinary in ["proxy.connection_accepted", "proxy.listener_opened", "pool.connection.opened"]
    {
        let told = changed(wanted, &format!("event: {ordinary}, min: 10"));
        let why = format!(
            "good.yaml:27:16: there are faults, and no `sometimes` proves that they are felt: `{ordinary}` occurs also"
        );
        assert!(told.starts_with(&why), "{told}");
    }
}

#[test]
fn every_event_that_is_advised_is_known_and_proves_something() {
    let with = |kind: &str| match kind {
        "proxy.latency" | "proxy.accept_delay" => "{ delay: 1s }",
        "proxy.bandwidth" => "{ bytes: 64000B }",
        "proxy.slice" => "{ size: 7B }",
        "proxy.error" => "{ sqlstate: '53300' }",
        _ => "{}",
    };
    for kind in KINDS {
        let with: scalar::Mapping = serde_yaml::from_str(with(kind)).unwrap();
        let read = FaultKind::read(kind, &with).unwrap();
        match read.proof() {
            Some(event) => {
                assert!(events::known().contains(&event.to_owned()), "{event}");
                assert!(events::is_proof(event, false), "{event}");
            }
            None => assert_eq!(kind, "proxy.noop"),
        }
    }
}
