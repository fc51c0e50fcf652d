//! The faults of a scenario and the phases around them.

use std::path::Path;
use std::time::Duration;

use super::super::amount::{Amount, Time, Unit};
use super::super::error::Wrong;
use super::super::place::Step;
use super::super::raw;
use super::super::{Fault, FaultFile, FaultKind, nearest, yaml_files};
use super::Check;
use crate::record::Phase;

/// How often one fault may happen.
const MAX_STRIKES: u128 = 10_000;

pub(super) fn timeline(check: &mut Check<'_>, raw: &[raw::Fault], folder: &Path) -> Vec<Fault> {
    let mut faults: Vec<Fault> = Vec::new();
    for (number, raw) in raw.iter().enumerate() {
        let here = [Step::Key("faults"), Step::Item(number)];
        if faults.iter().any(|fault| fault.id == raw.id) {
            let (name, why) = (raw.id.clone(), "is the name of another fault");
            check.wrong(&[here[0], here[1], Step::Key("id")], Wrong::Name { name, why });
        }
        let Some((kind_name, kind, blast)) = kind(check, &here, raw, folder) else { continue };
        let lasts = match (kind.is_instant(), raw.lasts, raw.every) {
            (true, None, None) => Duration::ZERO,
            (true, Some(Time(lasts)), Some(Time(every))) if every > Duration::ZERO => lasts,
            (true, ..) => {
                let rule = format!(
                    "`{kind_name}` happens at one instant: it has either neither `for` nor `every`, or both, to be repeated"
                );
                check.rule(&here, rule);
                continue;
            }
            (false, Some(Time(lasts)), None) => lasts,
            (false, ..) => {
                let rule = format!("`{kind_name}` needs `for`, how long it lasts, and no `every`");
                check.rule(&here, rule);
                continue;
            }
        };
        if raw.lasts.is_some_and(|Time(lasts)| lasts.is_zero()) {
            check.rule(&[here[0], here[1], Step::Key("for")], "`for` is longer than 0s");
        }
        bounded_strikes(check, &here, lasts, raw.every);
        let at = raw.at.map_or(Duration::ZERO, |Time(at)| at);
        let every = raw.every.map(|Time(every)| every);
        faults.push(Fault { id: raw.id.clone(), kind, kind_name, at, lasts, every, blast });
    }
    faults.sort_by_key(|fault| fault.at);
    faults
}

/// Each strike is a step of its own, worked out before anything starts.
fn bounded_strikes(
    check: &mut Check<'_>,
    here: &[Step<'_>; 2],
    lasts: Duration,
    every: Option<Time>,
) {
    let Some(Time(every)) = every else { return };
    let strikes = lasts.as_nanos().div_ceil(every.as_nanos().max(1));
    if strikes > MAX_STRIKES {
        let [lasts, every] = [lasts, every].map(|time| Amount::new(time.as_secs_f64(), Unit::Time));
        let rule = format!(
            "every {every} for {lasts} are {strikes} times, and one fault may happen {MAX_STRIKES} times; give a longer `every` or a shorter `for`"
        );
        check.rule(&[here[0], here[1], Step::Key("every")], rule);
    }
}

fn kind(
    check: &mut Check<'_>,
    here: &[Step<'_>; 2],
    raw: &raw::Fault,
    folder: &Path,
) -> Option<(String, FaultKind, Option<String>)> {
    let (kind, with, blast, key) = match (&raw.kind, &raw.file) {
        (Some(kind), None) => (kind.clone(), raw.with.clone(), None, "kind"),
        (None, Some(name)) => {
            let file = named_fault(check, here, name, folder)?;
            let mut with = file.with;
            with.extend(raw.with.clone());
            (file.kind, with, Some(file.blast), "use")
        }
        (None, None) | (Some(_), Some(_)) => {
            check.rule(here, "a fault has either a `kind`, or `use` with the name of a fault file");
            return None;
        }
    };
    match FaultKind::read(&kind, &with) {
        Ok(read) => Some((kind, read, blast)),
        Err(error) => {
            check.fault(here, key, &error);
            None
        }
    }
}

fn named_fault(
    check: &mut Check<'_>,
    here: &[Step<'_>; 2],
    name: &str,
    folder: &Path,
) -> Option<FaultFile> {
    let file = folder.join(format!("{name}.yaml"));
    if !file.is_file() {
        let known: Vec<String> = yaml_files(folder)
            .unwrap_or_default()
            .iter()
            .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
            .collect();
        let nearest = nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
        let (name, folder) = (name.to_owned(), folder.to_owned());
        let fault = Wrong::UnknownFault { name, folder, nearest, known };
        check.wrong(&[here[0], here[1], Step::Key("use")], fault);
        return None;
    }
    match FaultFile::open(&file) {
        Ok(file) => Some(file),
        Err(errors) => {
            let message = format!("this fault's file is wrong:\n{errors}");
            check.wrong(&[here[0], here[1], Step::Key("use")], Wrong::FaultKind { message });
            None
        }
    }
}

pub(super) fn phases(
    check: &mut Check<'_>,
    raw: &raw::Phases,
    faults: &[Fault],
    has_faults: bool,
) -> Vec<(Phase, Duration)> {
    let end = faults.iter().map(|fault| fault.at + fault.lasts).max();
    let fault = match (raw.fault, end) {
        (Some(raw::FaultPhase::For(Time(length))), end) => {
            if end.is_some_and(|end| end > length) {
                let rule = "the phase ends before its last fault; use `auto`";
                check.rule(&[Step::Key("phases"), Step::Key("fault")], rule);
            }
            Some(length)
        }
        (Some(raw::FaultPhase::Auto(raw::Auto::Auto)), None) if !has_faults => {
            let rule =
                "`auto` is as long as the faults, and there are none; remove it or give a time";
            check.rule(&[Step::Key("phases"), Step::Key("fault")], rule);
            None
        }
        (Some(raw::FaultPhase::Auto(raw::Auto::Auto)), end) => end.or(Some(Duration::ZERO)),
        (None, _) if has_faults => {
            check
                .rule(&[Step::Key("phases")], "there are faults, and no phase `fault`; use `auto`");
            None
        }
        (None, _) => None,
    };
    let given = [
        ("warmup", raw.warmup),
        ("steady", raw.steady),
        ("fault", raw.fault.and_then(raw::FaultPhase::time)),
        ("recovery", raw.recovery),
        ("drain", raw.drain),
    ];
    for (name, _) in given.into_iter().filter(|(_, time)| *time == Some(Time(Duration::ZERO))) {
        let rule = format!("`{name}` is longer than 0s; leave it out if it is not to take place");
        check.rule(&[Step::Key("phases"), Step::Key(name)], rule);
    }
    let lengths = [
        (Phase::Warmup, raw.warmup.map(|Time(length)| length)),
        (Phase::Steady, raw.steady.map(|Time(length)| length)),
        (Phase::Fault, fault),
        (Phase::Recovery, raw.recovery.map(|Time(length)| length)),
        (Phase::Drain, raw.drain.map(|Time(length)| length)),
    ];
    lengths.into_iter().filter_map(|(phase, length)| Some((phase, length?))).collect()
}
