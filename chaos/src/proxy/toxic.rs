//! A toxic that was checked: its numbers as typed values, and which connections it may strike.

use std::time::Duration;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use tokio_util::bytes::Bytes;

use super::error::ProxyError;
use super::pg::error_response;
use super::wire::{
    Heal, Scope, Severity, ToxicKind, ToxicPatch, ToxicSpec, ToxicView, Trigger, check_name,
    nearest,
};

/// A toxic of a proxy.
#[derive(Debug, Clone)]
pub(super) struct Toxic {
    /// Which one it is, for ever: another toxic of the same name has another number.
    pub(super) id: u64,
    /// The number of the first connection that is new to it.
    pub(super) since: u64,
    pub(super) view: ToxicView,
    pub(super) fault: Fault,
    pub(super) heal: Heal,
}

/// What a toxic does, with its numbers.
#[derive(Debug, Clone)]
pub(super) enum Fault {
    Noop,
    Latency { latency: Duration, jitter: Duration },
    Bandwidth { rate: u32 },
    SlowClose { delay: Duration },
    Timeout { limit: Option<Duration> },
    ResetPeer { after: Duration },
    Slicer { average: u32, variation: u32, delay: Duration },
    LimitData { bytes: u64 },
    Blackhole { hold: bool },
    Reset,
    Cut { after: Option<Duration>, bytes: Option<u64> },
    AcceptDelay { delay: Duration },
    AcceptSilence,
    Refuse { reset: bool },
    PgError { severity: Severity, frame: Bytes },
}

impl Toxic {
    /// Checks what somebody asks for and fills in what is absent.
    pub(super) fn new(id: u64, since: u64, spec: ToxicSpec) -> Result<Self, ProxyError> {
        check_name(&spec.name)?;
        check_attributes(&spec)?;
        check_share("toxicity", spec.toxicity)?;
        check_scope(&spec)?;
        check_trigger(&spec)?;
        let heal = spec.heal.unwrap_or_else(|| spec.kind.default_heal());
        let fault = Fault::new(&spec, heal)?;
        let mut view = spec;
        view.name = view.name();
        for attribute in view.kind.attributes() {
            if view.kind != ToxicKind::Cut {
                view.attributes.entry((*attribute).to_owned()).or_insert(0);
            }
        }
        view.scope = Some(view.scope.unwrap_or(Scope::All));
        view.heal = Some(heal);
        Ok(Self { id, since, view, fault, heal })
    }

    /// The same toxic with other values.
    pub(super) fn patched(&self, patch: ToxicPatch) -> Result<Self, ProxyError> {
        let mut spec = self.view.clone();
        spec.toxicity = patch.toxicity.unwrap_or(spec.toxicity);
        spec.attributes.extend(patch.attributes);
        spec.scope = patch.scope.or(spec.scope);
        spec.heal = patch.heal.or(spec.heal);
        spec.on = patch.on.or(spec.on);
        spec.sqlstate = patch.sqlstate.or(spec.sqlstate);
        spec.message = patch.message.or(spec.message);
        spec.severity = patch.severity.or(spec.severity);
        Self::new(self.id, self.since, spec)
    }

    /// Whether it may strike the connection of this number, by the connection's own generator.
    pub(super) fn strikes(&self, connection: u64, rng: &mut ChaCha8Rng) -> bool {
        // Both are always drawn, so that another scope does not shift what follows.
        let (share, toxicity): (f64, f64) = (rng.random(), rng.random());
        let fresh = connection >= self.since;
        let in_scope = match self.view.scope.unwrap_or(Scope::All) {
            Scope::Existing => !fresh,
            Scope::New => fresh,
            Scope::All => true,
            Scope::Nth(n) => connection.checked_sub(self.since) == n.checked_sub(1) && n > 0,
            Scope::Fraction(fraction) => share < fraction,
        };
        in_scope && toxicity < self.view.toxicity
    }
}

impl Fault {
    fn new(spec: &ToxicSpec, heal: Heal) -> Result<Self, ProxyError> {
        let number = |name: &str| spec.attributes.get(name).copied();
        let or_zero = |name: &str| number(name).unwrap_or(0);
        let millis = |name: &str| Duration::from_millis(u64::from(or_zero(name)));
        Ok(match spec.kind {
            ToxicKind::Noop => Self::Noop,
            ToxicKind::Latency => {
                Self::Latency { latency: millis("latency"), jitter: millis("jitter") }
            }
            ToxicKind::Bandwidth => Self::Bandwidth { rate: or_zero("rate") },
            ToxicKind::SlowClose => Self::SlowClose { delay: millis("delay") },
            ToxicKind::Timeout => {
                Self::Timeout { limit: Some(millis("timeout")).filter(|limit| !limit.is_zero()) }
            }
            ToxicKind::ResetPeer => Self::ResetPeer { after: millis("timeout") },
            ToxicKind::Slicer => Self::Slicer {
                average: at_least_one("average_size", or_zero("average_size"))?,
                variation: or_zero("size_variation"),
                delay: Duration::from_micros(u64::from(or_zero("delay"))),
            },
            ToxicKind::LimitData => Self::LimitData { bytes: u64::from(or_zero("bytes")) },
            ToxicKind::Blackhole => Self::Blackhole { hold: heal == Heal::Resume },
            ToxicKind::Reset => Self::Reset,
            ToxicKind::Cut => {
                let after = number("after").map(|after| Duration::from_millis(u64::from(after)));
                let bytes = number("bytes").map(u64::from);
                if after.is_none() && bytes.is_none() {
                    return Err(ProxyError::Missing { field: "attributes.after or .bytes" });
                }
                Self::Cut { after, bytes }
            }
            ToxicKind::AcceptDelay => Self::AcceptDelay { delay: millis("delay") },
            ToxicKind::AcceptSilence => Self::AcceptSilence,
            ToxicKind::Refuse => Self::Refuse { reset: or_zero("reset") != 0 },
            ToxicKind::PgError => {
                let severity = spec.severity.unwrap_or(Severity::Fatal);
                Self::PgError { severity, frame: error_frame(spec, severity)? }
            }
        })
    }
}

fn error_frame(spec: &ToxicSpec, severity: Severity) -> Result<Bytes, ProxyError> {
    let Some(state) = &spec.sqlstate else {
        return Err(ProxyError::Missing { field: "sqlstate" });
    };
    if state.len() != 5
        || !state.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    {
        let rule = "a SQLSTATE has five capital letters or digits";
        return Err(ProxyError::Value { field: "sqlstate", value: state.clone(), rule });
    }
    let message = spec.message.clone().unwrap_or_else(|| format!("injected error {state}"));
    if message.contains('\0') {
        let rule = "a message ends at the first NUL";
        return Err(ProxyError::Value { field: "message", value: message, rule });
    }
    Ok(error_response(severity, state, &message))
}

fn check_attributes(spec: &ToxicSpec) -> Result<(), ProxyError> {
    let known = spec.kind.attributes();
    match spec.attributes.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => Err(ProxyError::Unknown {
            of: spec.kind.as_str(),
            key: key.clone(),
            nearest: nearest(key, known),
        }),
    }
}

fn check_share(field: &'static str, share: f64) -> Result<(), ProxyError> {
    if (0.0..=1.0).contains(&share) {
        return Ok(());
    }
    Err(ProxyError::Value { field, value: share.to_string(), rule: "it is a share from 0 to 1" })
}

fn at_least_one(field: &'static str, value: u32) -> Result<u32, ProxyError> {
    if value >= 1 {
        return Ok(value);
    }
    Err(ProxyError::Value { field, value: value.to_string(), rule: "it is at least 1" })
}

fn check_scope(spec: &ToxicSpec) -> Result<(), ProxyError> {
    match spec.scope {
        Some(Scope::Fraction(fraction)) => check_share("scope.fraction", fraction)?,
        Some(Scope::Nth(0)) => at_least_one("scope.nth", 0).map(drop)?,
        None | Some(Scope::Nth(_) | Scope::Existing | Scope::New | Scope::All) => {}
    }
    if spec.kind != ToxicKind::Refuse {
        return Ok(());
    }
    let scope = spec.scope.unwrap_or(Scope::All);
    if !matches!(scope, Scope::All | Scope::New) {
        let rule = "a closed listener refuses all or, keeping the open connections, new ones";
        return Err(ProxyError::Value { field: "scope", value: format!("{scope:?}"), rule });
    }
    if spec.toxicity < 1.0 {
        let rule = "a closed listener refuses everybody, so it is 1";
        return Err(ProxyError::Value {
            field: "toxicity",
            value: spec.toxicity.to_string(),
            rule,
        });
    }
    Ok(())
}

fn check_trigger(spec: &ToxicSpec) -> Result<(), ProxyError> {
    let refuse = |rule| {
        let value = spec.on.map_or("absent".to_owned(), |on| format!("{on:?}"));
        Err(ProxyError::Value { field: "on", value, rule })
    };
    let before_data =
        [ToxicKind::AcceptDelay, ToxicKind::AcceptSilence, ToxicKind::Refuse].contains(&spec.kind);
    if before_data && spec.on.is_some() {
        return refuse("this type acts before anything is sent, so nothing can trigger it");
    }
    if spec.on == Some(Trigger::Query(0)) {
        return refuse("queries are counted from 1");
    }
    let answers_a_query = matches!(spec.on, Some(Trigger::Query(_) | Trigger::Commit));
    if spec.kind == ToxicKind::PgError && spec.severity == Some(Severity::Error) && !answers_a_query
    {
        return refuse("an error that is not fatal answers a query, so it is query or commit");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::seed::generator;
    use super::*;

    fn toxic(spec: ToxicSpec) -> Result<Toxic, ProxyError> {
        Toxic::new(1, 10, spec)
    }

    #[test]
    fn impossible_values_are_refused() {
        let slicer = ToxicSpec::new(ToxicKind::Slicer);
        assert!(toxic(slicer.clone()).is_err(), "an average of 0");
        assert!(toxic(slicer.with("average_size", 1)).is_ok());
        let error = toxic(ToxicSpec::new(ToxicKind::Latency).with("latncy", 1)).unwrap_err();
        assert!(error.to_string().contains("`latency`"), "{error}");
        for toxicity in [-0.1, 1.1, f64::NAN] {
            let spec = ToxicSpec { toxicity, ..ToxicSpec::new(ToxicKind::Noop) };
            assert_eq!(toxic(spec).unwrap_err().status(), 400, "{toxicity}");
        }
        assert!(toxic(ToxicSpec::new(ToxicKind::Cut)).is_err());
        assert!(toxic(ToxicSpec::new(ToxicKind::PgError)).is_err());
        let error = ToxicSpec {
            sqlstate: Some("40001".to_owned()),
            severity: Some(Severity::Error),
            ..ToxicSpec::new(ToxicKind::PgError)
        };
        assert!(toxic(error.clone()).is_err(), "answers no query");
        assert!(toxic(ToxicSpec { on: Some(Trigger::Query(1)), ..error }).is_ok());
        let refuse =
            ToxicSpec { scope: Some(Scope::Existing), ..ToxicSpec::new(ToxicKind::Refuse) };
        assert!(toxic(refuse).is_err());
    }

    #[test]
    fn a_view_has_every_default() {
        let view = toxic(ToxicSpec::new(ToxicKind::Timeout)).unwrap().view;
        assert_eq!(view.name, "timeout_downstream");
        assert_eq!(view.attributes["timeout"], 0);
        assert_eq!(view.heal, Some(Heal::Close));
        assert_eq!(view.scope, Some(Scope::All));
    }

    #[test]
    fn a_scope_tells_old_connections_from_new_ones() {
        let strikes = |scope, connection| {
            let spec = ToxicSpec { scope: Some(scope), ..ToxicSpec::new(ToxicKind::Noop) };
            let mut rng = generator(7, "p", connection, "t");
            toxic(spec).unwrap().strikes(connection, &mut rng)
        };
        assert!(strikes(Scope::Existing, 9) && !strikes(Scope::Existing, 10));
        assert!(!strikes(Scope::New, 9) && strikes(Scope::New, 10));
        assert!(!strikes(Scope::Nth(2), 10) && strikes(Scope::Nth(2), 11));
        let struck = (1..=1000).filter(|n| strikes(Scope::Fraction(0.3), *n)).count();
        assert!((200..400).contains(&struck), "{struck}");
    }
}
