//! The official Python client against the server.

use std::path::Path;
use std::process::Command;

use crate::support::{Home, PROGRAM};

#[test]
fn the_official_client_initializes_indexes_searches_and_reads_health() {
    let home = Home::new();
    let repository = home.repository();
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let environment = home.command();
    let output = Command::new(python(manifest))
        .arg(manifest.join("tests/it/mcp_client.py"))
        .arg(PROGRAM)
        .arg(&repository)
        .env_clear()
        .envs(environment.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complained}");
    assert!(said.ends_with("the official client is content\n"), "{said}\n{complained}");
}

/// The interpreter of the environment that `ci/setup` makes for this test.
fn python(manifest: &Path) -> String {
    let script = "source ci/paths.sh && venv_folder ci/mcp-client.txt";
    let output = Command::new("bash").args(["-c", script]).current_dir(manifest).output().unwrap();
    let folder = String::from_utf8(output.stdout).unwrap();
    let python = format!("{}/bin/python", folder.trim());
    assert!(Path::new(&python).exists(), "the MCP client is missing; run `ci/setup`");
    python
}
