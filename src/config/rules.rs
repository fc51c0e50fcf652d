//! The rules that concern more than one key.

use std::path::Path;

use super::error::{Fault, Place, Problem};
use super::keys::Draft;
use super::read::Reader;
use super::{Database, Mode, Notice};

/// Checks that the pool's sizes fit together.
pub(super) fn check_pool(draft: &Draft, reader: &mut Reader<'_>) {
    let (min, max) = (draft.pool.min_size, draft.pool.max_size);
    let sound = ["pool.min_size", "pool.max_size"].iter().all(|key| !reader.has_failed(key));
    if min <= max || !sound {
        return;
    }
    let (min_place, max_place) = (reader.source("pool.min_size"), reader.source("pool.max_size"));
    let mut places = vec![min_place.clone(), max_place.clone()];
    places.retain(|place| *place != Place::Default);
    let fault = Fault::PoolSizes { min, min_place, max, max_place };
    reader.problems.push(|| Problem { places, fault });
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
