//! Looking at running servers and changing their configuration.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};

use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{Home, PATIENCE, Run, Session, eventually};

/// What the running servers say.
fn servers(home: &Home) -> Vec<Value> {
    home.run(["pool", "status", "--json"]).json()["servers"].as_array().unwrap().clone()
}

/// The one server's pools by name, or none while it is not ready.
fn pools(home: &Home) -> Vec<Value> {
    servers(home)[0]["pools"].as_array().cloned().unwrap_or_default()
}

fn is_ready(home: &Home) -> bool {
    servers(home).iter().all(|server| server["state"] == "ready")
}

fn sockets(home: &Home) -> Vec<PathBuf> {
    let entries = fs::read_dir(home.path("data/codebase-mcp/run")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn no_server_runs(home: &Home) -> bool {
    home.run(["pool", "status"]).stderr.contains("no server of this user runs")
}

#[test]
fn status_shows_the_pools_of_a_running_server() {
    let home = Home::new();
    let mut session = Session::start(&mut home.command());
    session.call("search_code", json!({ "query": "timers" }));
    let server = servers(&home).remove(0);
    assert_eq!(server["pid"], session.pid());
    assert_eq!(server["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(server["client"], json!({ "name": "test", "version": "1" }));
    assert_eq!((&server["state"], &server["error"]), (&json!("ready"), &Value::Null));
    let names: Vec<&Value> =
        server["pools"].as_array().unwrap().iter().map(|pool| &pool["name"]).collect();
    assert_eq!(names, ["registry", "project default"]);
    for pool in server["pools"].as_array().unwrap() {
        assert_eq!(pool["max_size"], 10, "{pool:#}");
        assert!(pool["total_acquisitions"].as_u64().unwrap() > 0, "{pool:#}");
        assert!(pool["wait"]["p99_ms"].is_number(), "{pool:#}");
    }
    let text = home.run(["pool", "status"]).ok();
    let server = format!("server {} for test 1", session.pid());
    for expected in [&server, "registry", "project default", "in use", "of 10", "p99"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(!text.contains('\u{1b}'), "no colors where there is no terminal: {text:?}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");

    let folder = home.path("data/codebase-mcp/run");
    assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(sockets(&home).len(), 1);
    assert_eq!(session.leave(), Some(0));
    assert_eq!(sockets(&home), [] as [PathBuf; 0], "a server removes its socket at its end");
}

#[test]
fn every_running_server_is_shown_and_a_killed_one_is_not() {
    let home = Home::new();
    let one = Session::start(&mut home.command());
    let mut two = Session::start(&mut home.command());
    assert!(eventually(|| is_ready(&home)));
    let mut pids: Vec<Value> = servers(&home).iter().map(|server| server["pid"].clone()).collect();
    pids.sort_by_key(Value::as_u64);
    let mut expected = [one.pid(), two.pid()];
    expected.sort_unstable();
    assert_eq!(pids, expected);

    two.kill();
    assert_eq!(sockets(&home).len(), 2, "a killed server removes nothing");
    let pids: Vec<Value> = servers(&home).iter().map(|server| server["pid"].clone()).collect();
    assert_eq!(pids, [one.pid()]);
    assert_eq!(sockets(&home).len(), 1, "but whoever looks does");
    assert_eq!(one.leave(), Some(0));
    assert!(no_server_runs(&home));
}

#[test]
fn a_new_server_removes_what_killed_ones_left() {
    let home = Home::new();
    let mut killed = Session::start(&mut home.command());
    killed.kill();
    let left = sockets(&home);
    assert_eq!(left.len(), 1);
    let session = Session::start(&mut home.command());
    assert!(eventually(|| !left[0].exists()));
    assert_eq!(session.leave(), Some(0));
}

#[test]
fn without_a_server_status_says_so() {
    let home = Home::new();
    // What the file says now is not what servers run with.
    home.write("codebase-mcp.yaml", "pool: {max_size: 0}\n");
    for arguments in [vec!["pool", "status"], vec!["pool", "status", "--json"]] {
        let error = home.run(&arguments).err();
        assert!(error.contains("no server of this user runs"), "{error}");
        assert!(error.contains("codebase-mcp serve"), "{error}");
    }
    let mut command = home.command();
    command.env("XDG_DATA_HOME", format!("/{}", "x".repeat(100)));
    let error = Run::of(command.args(["pool", "status"])).err();
    assert!(error.contains("too long for the path of a control socket"), "{error}");
    for interval in ["10", "99ms", "2h", "soon"] {
        let run = home.run(["pool", "watch", "--interval", interval]);
        assert_eq!(run.code, Some(2), "{interval}: {run:?}");
    }
}

#[test]
fn a_server_that_hangs_is_shown_as_such() {
    let home = Home::new();
    let session = Session::start(&mut home.command());
    session.signal(Signal::STOP);
    let run = home.run(["pool", "status"]);
    session.signal(Signal::CONT);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stdout.contains(&format!("server {}", session.pid())), "{run:?}");
    assert!(run.stdout.contains("did not answer"), "{run:?}");
    assert!(eventually(|| is_ready(&home)), "it is not given up");
    assert_eq!(session.leave(), Some(0));
}

#[test]
fn a_server_without_its_database_says_why() {
    let home = Home::new();
    home.write("data/codebase-mcp/cluster", "a file where the cluster belongs");
    let session = Session::start(&mut home.command());
    assert!(eventually(|| servers(&home)[0]["state"] == "failed"));
    let text = home.run(["pool", "status"]).ok();
    assert!(text.contains("not ready: ") && text.contains("cluster"), "{text}");
    assert_eq!(session.leave(), Some(0));
}

#[test]
fn a_folder_that_cannot_be_used_costs_the_status_and_nothing_else() {
    let home = Home::new();
    home.write("data/codebase-mcp/run", "a file where the folder belongs");
    let mut session = Session::start(&mut home.command());
    session.call("search_code", json!({ "query": "timers" }));
    let log = session.log();
    assert!(log.contains("event=\"control.unavailable\""), "{log}");
    assert_eq!(session.leave(), Some(0));
}

#[test]
fn sighup_applies_what_can_change_live_and_reports_the_rest() {
    let home = Home::new();
    let write = |text: &str| home.write("codebase-mcp.yaml", text);
    let mut session = Session::start(&mut home.command());
    session.call("search_code", json!({ "query": "timers" }));
    let sizes = || -> Vec<u64> {
        pools(&home).iter().map(|pool| pool["max_size"].as_u64().unwrap()).collect()
    };
    assert_eq!(sizes(), [10, 10]);
    assert!(!session.log().contains("DEBUG"));

    write(
        "pool: {max_size: 20, command_timeout: 5s}\ntelemetry: {log: debug}\n\
         jobs: {max_concurrent: 5}\n",
    );
    session.signal(Signal::HUP);
    assert!(eventually(|| sizes() == [20, 20]), "{}", session.log());
    assert!(eventually(|| session.log().contains("event=\"config.needs_restart\"")));
    let log = session.log();
    let applied = log.lines().find(|line| line.contains("event=\"config.reloaded\"")).unwrap();
    for change in ["pool.max_size 10 -> 20", "pool.command_timeout 1m -> 5s", "telemetry.log"] {
        assert!(applied.contains(change), "{change}: {log}");
    }
    assert!(!applied.contains("jobs"), "{applied}");
    let waiting: Vec<&str> =
        log.lines().filter(|line| line.contains("config.needs_restart")).collect();
    assert_eq!(waiting.len(), 1, "{waiting:?}");
    assert!(waiting[0].contains("key=\"jobs.max_concurrent\""), "{waiting:?}");
    assert!(waiting[0].contains("takes effect at the next start"), "{waiting:?}");
    session.request("ping", json!({}));
    assert!(eventually(|| session.log().contains("DEBUG")), "the log follows");

    for (broken, problem) in [
        ("pool: {max_size: 0}\ntelemetry: {log: trace}\n", "pool.max_size is 0"),
        ("pool: {max_size: 30", "not valid YAML"),
    ] {
        write(broken);
        session.signal(Signal::HUP);
        let reported = |line: &str| line.contains("config.reload_failed") && line.contains(problem);
        assert!(eventually(|| session.log().lines().any(reported)), "{}", session.log());
        assert_eq!(sizes(), [20, 20], "a broken file changes nothing");
    }
    assert!(!session.log().contains("TRACE"));

    let reloads = |log: &str| log.matches("event=\"config.reloaded\"").count();
    write("pool: {max_size: 20, command_timeout: 5s}\ntelemetry: {log: debug}\n");
    session.signal(Signal::HUP);
    assert!(eventually(|| reloads(&session.log()) == 2));
    let log = session.log();
    assert!(log.lines().any(|line| line.contains("applied=\"nothing\"")), "{log}");
    assert_eq!(log.matches("config.needs_restart").count(), 1, "as it was at the start: {log}");
    session.call("search_code", json!({ "query": "timers" }));
    assert_eq!(session.leave(), Some(0));
}

#[test]
fn a_file_that_is_gone_at_sighup_changes_nothing() {
    let home = Home::new();
    let file = home.write("codebase-mcp.yaml", "pool: {min_size: 3, max_size: 7}\n");
    let mut session = Session::start(&mut home.command());
    session.call("search_code", json!({ "query": "timers" }));
    fs::remove_file(file).unwrap();
    session.signal(Signal::HUP);
    let gone = |line: &str| line.contains("config.reload_failed") && line.contains("is gone");
    assert!(eventually(|| session.log().lines().any(gone)), "{}", session.log());
    assert!(pools(&home).iter().all(|pool| pool["max_size"] == 7));
    assert_eq!(session.leave(), Some(0));
}

#[test]
fn pools_that_are_opened_later_have_the_new_configuration() {
    let home = Home::new();
    let blocked = home.write("data/codebase-mcp/cluster", "a file where the cluster belongs");
    let mut session = Session::start(&mut home.command());
    assert!(eventually(|| servers(&home)[0]["state"] == "failed"));
    home.write("codebase-mcp.yaml", "pool: {min_size: 3, max_size: 7}\n");
    session.signal(Signal::HUP);
    assert!(eventually(|| session.log().contains("event=\"config.reloaded\"")));
    fs::remove_file(blocked).unwrap();
    assert!(eventually(|| is_ready(&home)));
    session.call("search_code", json!({ "query": "timers" }));
    let pools = pools(&home);
    assert_eq!(pools.len(), 2);
    assert!(pools.iter().all(|pool| pool["max_size"] == 7 && pool["min_size"] == 3), "{pools:#?}");
    assert_eq!(session.leave(), Some(0));
}

#[test]
fn watch_prints_lines_where_there_is_no_terminal() {
    let home = Home::new();
    let session = Session::start(&mut home.command());
    assert!(eventually(|| is_ready(&home)));
    let mut watch = home
        .command()
        .args(["pool", "watch", "--interval", "100ms"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let start = format!(" {} registry ", session.pid());
    for rate in [false, true] {
        let line = lines.next().unwrap().unwrap();
        assert!(line.contains(&start) && line.contains(" in_use="), "{line}");
        assert!(!line.contains('\u{1b}'), "{line}");
        assert_eq!(line.contains("acquires_per_s="), rate, "{line}");
    }
    assert_eq!(session.leave(), Some(0));
    assert!(lines.any(|line| line.unwrap().ends_with("no server runs")), "servers come and go");
    let session = Session::start(&mut home.command());
    let start = format!(" {} ", session.pid());
    assert!(lines.any(|line| line.unwrap().contains(&start)));
    // A reader that has seen enough.
    drop(lines);
    assert_eq!(watch.wait().unwrap().code(), Some(0));
    assert_eq!(session.leave(), Some(0));
}

/// A terminal of our own with the program in it.
struct Terminal {
    controller: File,
    /// The program's end, open as long as we look at its settings.
    end: File,
    output: Receiver<Vec<u8>>,
    seen: String,
    child: Child,
}

impl Terminal {
    fn watch(home: &Home, variables: &[(&str, &str)]) -> (Self, Termios) {
        let controller =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let path = ptsname(&controller, Vec::new()).unwrap();
        let end = File::options().read(true).write(true).open(path.to_str().unwrap()).unwrap();
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&controller, size).unwrap();
        let before = tcgetattr(&end).unwrap();
        let mut command = home.command();
        command.envs(variables.iter().copied()).args(["pool", "watch", "--interval", "100ms"]);
        let [stdin, stdout] = [(); 2].map(|()| Stdio::from(end.try_clone().unwrap()));
        let child = command.stdin(stdin).stdout(stdout).spawn().unwrap();
        let controller = File::from(controller);
        let mut reader = controller.try_clone().unwrap();
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = reader.read(&mut bytes) {
                if sender.send(bytes[..read].to_vec()).is_err() {
                    break;
                }
            }
        });
        (Self { controller, end, output, seen: String::new(), child }, before)
    }

    /// Reads until the terminal was sent `text`, and gives everything up to there.
    fn expect(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.seen.find(text) {
                return self.seen.drain(..at + text.len()).collect();
            }
            let bytes = self.output.recv_timeout(deadline - Instant::now());
            let bytes = bytes.unwrap_or_else(|_| panic!("no {text:?} in {:?}", self.seen));
            self.seen.push_str(&String::from_utf8_lossy(&bytes));
        }
    }

    fn press(&mut self, keys: &[u8]) {
        self.controller.write_all(keys).unwrap();
    }

    /// Waits for the program's end; the terminal must be as it was.
    fn end(mut self, before: &Termios) {
        self.expect("\u{1b}[?25h");
        self.expect("\u{1b}[?1049l");
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        let after = tcgetattr(&self.end).unwrap();
        assert_eq!(
            (after.local_modes, after.input_modes, after.output_modes),
            (before.local_modes, before.input_modes, before.output_modes)
        );
    }
}

#[test]
fn watch_redraws_a_terminal_in_place_and_puts_it_back() {
    let home = Home::new();
    let session = Session::start(&mut home.command());
    assert!(eventually(|| is_ready(&home)));
    let (mut terminal, before) = Terminal::watch(&home, &[("TERM", "xterm-256color")]);
    terminal.expect("\u{1b}[?1049h");
    terminal.expect("\u{1b}[?25l");
    terminal.expect(&format!("server {}", session.pid()));
    terminal.expect("registry");
    let colored = terminal.expect("acquires/s");
    assert!(colored.contains("\u{1b}[36m█\u{1b}[0m") && colored.contains("in use"), "{colored:?}");
    terminal.press(b"d");
    terminal.expect("wait p99");
    let size = Winsize { ws_row: 5, ws_col: 60, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&terminal.controller, size).unwrap();
    terminal.expect("lines 1 to 1 of");
    assert_eq!(session.leave(), Some(0));
    let drawn = terminal.expect("No server of this user runs.");
    assert!(!drawn.contains("\u{1b}[2J"), "a screen that is cleared flickers: {drawn:?}");
    terminal.press(b"\x03");
    terminal.end(&before);
}

#[test]
fn watch_ends_at_a_signal_and_respects_no_color() {
    let home = Home::new();
    let session = Session::start(&mut home.command());
    assert!(eventually(|| is_ready(&home)));
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let variables = [("TERM", "xterm-256color"), ("NO_COLOR", "1")];
        let (mut terminal, before) = Terminal::watch(&home, &variables);
        let plain = terminal.expect("acquires/s");
        assert!(
            plain.contains("█ ") && !plain.contains("[3") && !plain.contains("[1m"),
            "{plain:?}"
        );
        let pid = rustix::process::Pid::from_child(&terminal.child);
        rustix::process::kill_process(pid, signal).unwrap();
        terminal.end(&before);
    }
    let (mut terminal, _) = Terminal::watch(&home, &[("TERM", "dumb")]);
    let plain = terminal.expect(" in_use=");
    assert!(plain.contains(" registry ") && !plain.contains('\u{1b}'), "{plain:?}");
    terminal.child.kill().unwrap();
    terminal.child.wait().unwrap();
    assert_eq!(session.leave(), Some(0));
}
