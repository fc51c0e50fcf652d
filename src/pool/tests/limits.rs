//! Every key at its bounds and one step beyond.

use std::ops::RangeInclusive;

use super::*;

/// Where a key is, for setting it.
type Field<T> = fn(&mut Config) -> &mut T;

fn counts() -> Vec<(&'static str, RangeInclusive<u32>, Field<u32>)> {
    vec![
        ("min_size", bounds::SIZE, |config| &mut config.min_size),
        ("max_size", bounds::SIZE, |config| &mut config.max_size),
        ("max_waiting", bounds::MAX_WAITING, |config| &mut config.max_waiting),
        ("max_parallel_connects", bounds::PARALLEL_CONNECTS, |config| {
            &mut config.max_parallel_connects
        }),
        ("max_queries", bounds::MAX_QUERIES, |config| &mut config.max_queries),
        ("adaptive.max_size", bounds::SIZE, |config| &mut config.adaptive.max_size),
    ]
}

fn times() -> Vec<(&'static str, RangeInclusive<Duration>, Field<Duration>)> {
    vec![
        ("acquire_timeout", bounds::ACQUIRE_TIMEOUT, |config| &mut config.acquire_timeout),
        ("connect_timeout", bounds::CONNECT_TIMEOUT, |config| &mut config.connect_timeout),
        ("command_timeout", bounds::COMMAND_TIMEOUT, |config| &mut config.command_timeout),
        ("shutdown_timeout", bounds::SHUTDOWN_TIMEOUT, |config| &mut config.shutdown_timeout),
        ("cleanup_timeout", bounds::CLEANUP_TIMEOUT, |config| &mut config.cleanup_timeout),
        ("probe_interval", bounds::PROBE_INTERVAL, |config| &mut config.probe_interval),
        ("max_lifetime", bounds::MAX_LIFETIME, |config| &mut config.max_lifetime),
        ("max_idle_time", bounds::MAX_IDLE_TIME, |config| &mut config.max_idle_time),
        ("validation.timeout", bounds::VALIDATION_TIMEOUT, |config| &mut config.validation.timeout),
        ("validation.bypass_window", bounds::BYPASS_WINDOW, |config| {
            &mut config.validation.bypass_window
        }),
        ("leaks.threshold", bounds::LEAK_THRESHOLD, |config| &mut config.leaks.threshold),
        ("adaptive.cooldown", bounds::COOLDOWN, |config| &mut config.adaptive.cooldown),
    ]
}

/// A configuration that no change of one key brings into conflict with another.
fn roomy() -> Config {
    Config { min_size: 1, max_size: 500, ..Config::default() }
}

fn is_refused(config: &Config, name: &str) -> bool {
    match config.validate() {
        Ok(()) => false,
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains(&format!("pool.{name} is ")), "{text}");
            assert_eq!(error.errors.len(), 1, "{text}");
            true
        }
    }
}

#[test]
fn counts_are_refused_one_beyond_their_bounds() {
    for (name, bounds, field) in counts() {
        let (low, high) = (*bounds.start(), *bounds.end());
        for value in [low, low + 1, high - 1, high] {
            let mut config = roomy();
            // The other end of the pair moves along.
            *field(&mut config) = value;
            config.min_size = config.min_size.min(config.max_size);
            assert!(!is_refused(&config, name), "{name} = {value}");
        }
        for value in [low.checked_sub(1), high.checked_add(1)].into_iter().flatten() {
            let mut config = roomy();
            *field(&mut config) = value;
            if value < low {
                config.min_size = config.min_size.min(config.max_size.max(1));
            } else {
                config.max_size = config.max_size.max(config.min_size.min(500));
            }
            let errors = config.validate().unwrap_err().to_string();
            assert!(
                errors.contains(&format!("pool.{name} is {value}, must be {low} to")),
                "{errors}"
            );
        }
    }
}

#[test]
fn times_are_refused_a_millisecond_beyond_their_bounds() {
    for (name, bounds, field) in times() {
        let (low, high) = (*bounds.start(), *bounds.end());
        let inside = [low, low + ms(1), high.saturating_sub(ms(1)), high];
        let outside = [low.checked_sub(ms(1)), Some(high + ms(1))];
        for value in inside {
            let mut config = roomy();
            *field(&mut config) = value;
            assert!(!is_refused(&config, name), "{name} = {value:?}");
        }
        for value in outside.into_iter().flatten() {
            let mut config = roomy();
            *field(&mut config) = value;
            assert!(is_refused(&config, name), "{name} = {value:?}");
        }
    }
}

#[test]
fn the_default_is_valid_and_conflicts_name_both_keys_and_both_fixes() {
    Config::default().validate().unwrap();
    let adaptive = Adaptive { enabled: true, max_size: 3, ..Adaptive::default() };
    let conflicts = Config { min_size: 11, max_size: 10, adaptive, ..Config::default() };
    insta::assert_snapshot!(conflicts.validate().unwrap_err(), @"the pool's configuration is out of bounds: pool.min_size is 11 and pool.max_size is 10: lower pool.min_size to 10 or raise pool.max_size to 11; pool.max_size is 10 and pool.adaptive.max_size is 3: lower pool.max_size to 3 or raise pool.adaptive.max_size to 10");
    let adaptive = Adaptive { enabled: false, max_size: 3, ..Adaptive::default() };
    Config { adaptive, ..Config::default() }.validate().unwrap();
}

#[tokio::test]
async fn a_pool_is_not_made_of_a_wrong_configuration() {
    let wrong = Config { max_size: 501, probe_interval: ms(1), ..Config::default() };
    let error = Pool::new("test", wrong, Scripted::default()).unwrap_err();
    insta::assert_snapshot!(error, @"the pool's configuration is out of bounds: pool.max_size is 501, must be 1 to 500; pool.probe_interval is 1 ms, must be 100 ms to 1 min");
}
