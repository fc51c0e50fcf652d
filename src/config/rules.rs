//! The rules that concern more than one key.

use std::path::Path;

use super::error::{Fault, Place, Problem, Size};
use super::keys::Draft;
use super::read::Reader;
use super::{Database, Mode, Notice};

/// Checks that the pool's sizes fit together.
pub(super) fn check_pool(draft: &Draft, reader: &mut Reader<'_>) {
    let pool = &draft.pool;
    let (min, max) = (("pool.min_size", pool.min_size), ("pool.max_size", pool.max_size));
    check_sizes(min, max, reader);
    if pool.adaptive.enabled {
        check_sizes(max, ("pool.adaptive.max_size", pool.adaptive.max_size), reader);
    }
}

/// Checks that the first size, a key and its value, is at most as large as the second.
fn check_sizes(small: (&'static str, u32), large: (&'static str, u32), reader: &mut Reader<'_>) {
    let sound = [small, large].iter().all(|(key, _)| !reader.has_failed(key));
    if small.1 <= large.1 || !sound {
        return;
    }
    let [small, large] =
        [small, large].map(|(key, value)| Size { key, value, place: reader.source(key) });
    let mut places = vec![small.place.clone(), large.place.clone()];
    places.retain(|place| *place != Place::Default);
    reader.problems.push(|| Problem { places, fault: Fault::Sizes { small, large } });
}

/// Decides which database it is. `None` after a problem.
pub(super) fn database(
    draft: &Draft,
    data_folder: Option<&Path>,
    reader: &mut Reader<'_>,
) -> Option<Database> {
    if reader.has_failed("database.mode") || reader.has_failed("database.url") {
        return None;
    }
    match (draft.mode, &draft.url) {
        (None | Some(Mode::External), Some(url)) => Some(Database::External { url: url.clone() }),
        (Some(Mode::External), None) => {
            let place = reader.source("database.mode");
            reader.problems.push(|| Problem::at(place, Fault::NoUrl));
            None
        }
        (Some(Mode::Embedded), Some(url)) => {
            let (url_place, mode_place) =
                (reader.source("database.url"), reader.source("database.mode"));
            // A variable may well switch a file with a URL to the embedded database.
            if let (Place::File(_), Place::Variable(_)) = (&url_place, &mode_place) {
                reader.notices.push(Notice::UrlNotUsed { url_place, mode_place });
                return embedded(draft, data_folder, reader);
            }
            let places = vec![url_place.clone(), mode_place.clone()];
            let fault = Fault::UrlWithEmbedded { url: url.to_string(), url_place, mode_place };
            reader.problems.push(|| Problem { places, fault });
            None
        }
        (None | Some(Mode::Embedded), None) => embedded(draft, data_folder, reader),
    }
}

fn embedded(
    draft: &Draft,
    data_folder: Option<&Path>,
    reader: &mut Reader<'_>,
) -> Option<Database> {
    let mut config = draft.postgres.clone();
    if data_folder.is_none() {
        match &config.install_dir {
            Some(folder) if config.data_dir.is_absolute() => {
                config.install_default.clone_from(folder);
            }
            Some(_) | None => {
                reader.problems.push(|| Problem { places: Vec::new(), fault: Fault::NoDataFolder });
                return None;
            }
        }
    }
    Some(Database::Embedded(config))
}
