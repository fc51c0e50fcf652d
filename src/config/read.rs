//! Reads every key from the file and the environment, and finds names that are no keys.

use std::collections::{BTreeMap, BTreeSet};

use super::Notice;
use super::document::Document;
use super::environment::{Environment, NotUnicode};
use super::error::{Fault, Place, Problem, Problems};
use super::expand::{Expanded, expand};
use super::keys::{Key, PREFIX};
use super::known::Known;
use super::secret::{quoted, shortened};
use super::slot::Given;
use super::yaml::{Entry, Node, Part};

/// Reads keys one by one and remembers where each value comes from and what is wrong.
pub(super) struct Reader<'e> {
    document: Option<&'e Document>,
    environment: &'e Environment,
    pub(super) problems: Problems,
    pub(super) notices: Vec<Notice>,
    /// Where the values come from. A key that is not here has its default.
    pub(super) sources: BTreeMap<&'static str, Place>,
    failed: BTreeSet<&'static str>,
    ignored: Option<&'static str>,
}

impl<'e> Reader<'e> {
    pub(super) fn new(document: Option<&'e Document>, environment: &'e Environment) -> Self {
        Self {
            document,
            environment,
            problems: Problems::default(),
            notices: Vec::new(),
            sources: BTreeMap::new(),
            failed: BTreeSet::new(),
            ignored: None,
        }
    }

    /// Reads a key, first from the file, then from the environment, which comes before it.
    pub(super) fn read(&mut self, mut key: Key<'_>) {
        let default = key.slot.print();
        self.read_file(&mut key, default.as_ref());
        let variable = key.variable();
        match self.environment.text(&variable) {
            Some(text) => {
                for name in key.historical {
                    if self.environment.value(name).is_some() {
                        let (variable, by) = ((*name).to_owned(), variable.clone());
                        self.notices.push(Notice::Overruled { variable, by });
                    }
                }
                self.read_variable(&mut key, &variable, text.map(Given::Free), default.as_ref());
            }
            None => self.read_historical(&mut key, variable, default.as_ref()),
        }
    }

    /// Leaves a historical variable out, and says whether it is set at all.
    pub(super) fn ignore(&mut self, variable: &'static str) -> bool {
        self.ignored = Some(variable);
        self.environment.value(variable).is_some()
    }

    pub(super) fn source(&self, path: &str) -> Place {
        self.sources.get(path).cloned().unwrap_or(Place::Default)
    }

    /// Whether the key has a value that it can't have.
    pub(super) fn has_failed(&self, path: &str) -> bool {
        self.failed.contains(path)
    }

    /// Finds keys, sections and variables that don't exist.
    pub(super) fn check_names(&mut self, known: &Known) {
        if let Some(document) = self.document
            && let Node::Mapping(entries) = &document.root
        {
            let mut survey = Survey { document, known, problems: &mut self.problems };
            survey.section("", entries, &[]);
        }
        let ours = self.environment.variables.keys().filter(|name| name.starts_with(PREFIX));
        for name in ours.filter(|name| !known.is_variable(name)) {
            let nearest = known.nearest_variable(name);
            let place = Place::Variable(shortened(name));
            self.problems.push(|| Problem::at(place, Fault::UnknownVariable { nearest }));
        }
    }

    fn read_file(&mut self, key: &mut Key<'_>, default: Option<&String>) {
        let Some(document) = self.document else { return };
        let Some((path, node)) = document.find(key.path) else { return };
        let place = document.place(&path, Part::Value);
        let Node::Text(text) = node else {
            self.set(key, &Given::Typed(node), place, default);
            return;
        };
        match expand(text, self.environment) {
            Ok(Expanded::Written(text)) => {
                let node = Node::Text(text.into_owned());
                self.set(key, &Given::Typed(&node), place, default);
            }
            Ok(Expanded::Inserted(text)) => self.set(key, &Given::Free(&text), place, default),
            Err(source) => self.fail(key.path, place, Fault::Expand { key: key.path, source }),
        }
    }

    fn read_historical(&mut self, key: &mut Key<'_>, preferred: String, default: Option<&String>) {
        let mut said = Vec::new();
        let ignored = self.ignored;
        for name in key.historical.iter().filter(|name| ignored != Some(**name)) {
            let Some(text) = self.environment.text(name) else { continue };
            self.read_variable(key, name, text.map(Given::Historical), default);
            said.push((*name, key.slot.print().unwrap_or_default()));
        }
        if let [first, second] = said.as_slice()
            && first.1 != second.1
            && !self.has_failed(key.path)
        {
            let (first, second) = (first.clone(), second.clone());
            let place = Place::Variable(first.0.to_owned());
            let fault = Fault::Disagreement { key: key.path, first, second, preferred };
            self.fail(key.path, place, fault);
        }
    }

    fn read_variable(
        &mut self,
        key: &mut Key<'_>,
        name: &str,
        given: Result<Given<'_>, NotUnicode>,
        default: Option<&String>,
    ) {
        let place = Place::Variable(name.to_owned());
        if let Ok(given) = given {
            self.set(key, &given, place, default);
        } else {
            self.fail(key.path, place, Fault::NotUnicode { key: key.path });
        }
    }

    fn set(
        &mut self,
        key: &mut Key<'_>,
        given: &Given<'_>,
        place: Place,
        default: Option<&String>,
    ) {
        match key.slot.set(given) {
            Ok(true) => {
                self.sources.insert(key.path, place);
            }
            Ok(false) => {}
            Err(refusal) => {
                let (rule, default) = (key.slot.rule(), default.cloned());
                let fault = Fault::Refused { key: key.path, refusal, rule, default };
                self.fail(key.path, place, fault);
            }
        }
    }

    fn fail(&mut self, path: &'static str, place: Place, fault: Fault) {
        self.failed.insert(path);
        self.problems.push(|| Problem::at(place, fault));
    }
}

/// Compares the names in a file with those that exist.
struct Survey<'s> {
    document: &'s Document,
    known: &'s Known,
    problems: &'s mut Problems,
}

impl Survey<'_> {
    /// Checks the entries of a section that stands at `at` in the file.
    fn section(&mut self, section: &str, entries: &[Entry], at: &[usize]) {
        let mut seen = BTreeMap::new();
        for (index, Entry { key: name, value }) in entries.iter().enumerate() {
            let path = if section.is_empty() { name.clone() } else { format!("{section}.{name}") };
            let at = [at, &[index]].concat();
            if let Some(first) = seen.get(name) {
                self.repeated(&path, &at, *first);
                continue;
            }
            seen.insert(name, index);
            if name.contains('.') || !self.known.has(&path) {
                self.unknown(section, name, &at);
            } else if self.known.is_section(&path) {
                self.subsection(path, value, &at);
            }
        }
    }

    fn subsection(&mut self, path: String, value: &Node, at: &[usize]) {
        if let Node::Mapping(entries) = value {
            self.section(&path, entries, at);
        } else if *value != Node::Nothing {
            let (document, found) = (self.document, value.kind());
            let place = || document.place(at, Part::Value);
            let fault = Fault::NotASection { section: path, found };
            self.problems.push(|| Problem::at(place(), fault));
        }
    }

    fn repeated(&mut self, path: &str, at: &[usize], first: usize) {
        let document = self.document;
        self.problems.push(|| {
            let mut earlier = at.to_vec();
            if let Some(last) = earlier.last_mut() {
                *last = first;
            }
            let places = [at, &earlier].map(|at| document.place(at, Part::Key));
            Problem { places: places.into(), fault: Fault::RepeatedKey { key: shown(path) } }
        });
    }

    fn unknown(&mut self, section: &str, name: &str, at: &[usize]) {
        let (document, known) = (self.document, self.known);
        self.problems.push(|| {
            let suggestion = known.suggest(section, name);
            let name = shown(name);
            let key = if section.is_empty() { name } else { format!("{section}.{name}") };
            Problem::at(document.place(at, Part::Key), Fault::UnknownKey { key, suggestion })
        });
    }
}

/// The name of a key as the file has it, in quotes when it is not a plain word.
fn shown(name: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "._-".contains(c);
    if name.chars().all(plain) && !name.is_empty() { shortened(name) } else { quoted(name) }
}
