//! What a run keeps for a look at it, and that runs do not disturb each other.

use std::fs;
use std::path::PathBuf;

use chaos::journal::Undo;
use sqlx::{Connection, PgConnection};
use tokio::process::Command;

use crate::support::{Project, QUICK};

#[tokio::test]
async fn a_postgresql_can_be_looked_at_until_it_is_recovered() {
    let project = Project::with(&[("quick", QUICK)]);
    let kept = project.run(&["quick", "--provider", "process", "--keep"]).await;
    assert_eq!(kept.code, Some(0));
    assert!(kept.stderr.contains("kept.txt says where it is"), "{}", kept.stderr);
    let text = fs::read_to_string(project.runs()[0].join("kept.txt")).unwrap();
    let url = text.lines().find_map(|line| line.strip_prefix("PostgreSQL: ")).unwrap();
    let mut connection = PgConnection::connect(url).await.unwrap();
    connection.ping().await.unwrap();
    assert_ne!(project.left(), [""; 0]);

    assert_eq!(project.recover().await.code, Some(0));
    assert_eq!(project.left(), [""; 0]);
    assert!(connection.ping().await.is_err());
}

/// Whoever looks at what was kept, from within, is not ended with it; not even the command that removes it.
#[tokio::test]
async fn who_looks_at_what_was_kept_lives_on() {
    let project = Project::with(&[("quick", QUICK)]);
    let kept = project.run(&["quick", "--provider", "process", "--keep"]).await;
    assert_eq!(kept.code, Some(0));
    let mut places: Vec<_> = project.open().into_iter().filter_map(place).collect();
    places.retain(|place| place.join("data").exists());
    let [place] = &places[..] else { panic!("{places:?}") };
    let file = place.join("server.log");
    let look = |program: &str| {
        let mut looking = Command::new(program);
        looking.current_dir(place).kill_on_drop(true);
        looking
    };
    let mut reader = look("tail").arg("-f").arg(&file).spawn().unwrap();
    let mut shell = look("sleep").arg("600").current_dir(place.join("data")).spawn().unwrap();

    let journals = project.path("journals");
    let mut recover = project.command(&["recover", "--journals", journals.to_str().unwrap()]);
    // What it inherits makes no difference.
    recover.current_dir(place).env("SCENARIOS_PLACE", place);
    let recovered = Project::ended(recover.spawn().unwrap()).await;
    assert_eq!(recovered.code, Some(0));
    assert!(reader.try_wait().unwrap().is_none() && shell.try_wait().unwrap().is_none());
    reader.kill().await.unwrap();
    shell.kill().await.unwrap();
    assert_eq!(project.left(), [""; 0]);
}

fn place(undo: Undo) -> Option<PathBuf> {
    match undo {
        Undo::Place { folder } => Some(folder),
        Undo::Containers { .. } | Undo::Databases { .. } => None,
    }
}

#[tokio::test]
async fn two_runners_at_once_do_not_disturb_each_other() {
    let project = Project::with(&[("quick", QUICK)]);
    let other = QUICK.replace("name: quick", "name: other");
    fs::write(project.path("scenarios/other.yaml"), other).unwrap();
    let (quick, other) = tokio::join!(
        project.run(&["quick", "--provider", "process"]),
        project.run(&["other", "--provider", "process"]),
    );
    assert_eq!((quick.code, other.code), (Some(0), Some(0)));
    assert_eq!(project.runs().len(), 2);
    assert_eq!(project.left(), [""; 0]);
}
