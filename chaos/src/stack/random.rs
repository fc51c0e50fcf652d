//! Names and passwords at random.

use rand::distr::{Alphanumeric, SampleString};

/// Letters and digits of a password: more than anybody can guess.
const PASSWORD: usize = 24;
/// And of a name: no two on a machine are the same.
const NAME: usize = 10;

/// Letters and digits that make a name unique.
pub(super) fn name() -> String {
    Alphanumeric.sample_string(&mut rand::rng(), NAME)
}

/// A password of letters and digits.
pub(super) fn password() -> String {
    Alphanumeric.sample_string(&mut rand::rng(), PASSWORD)
}
