//! What a run keeps for a look at it, and that runs do not disturb each other.

use std::fs;

use sqlx::{Connection, PgConnection};

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
