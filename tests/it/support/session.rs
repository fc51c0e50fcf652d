//! A minimal MCP client that looks at every line the server writes.
#![expect(clippy::needless_pass_by_value, reason = "callers build their parameters in place")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::PATIENCE;

/// A running server and its open session.
pub(crate) struct Session {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    log: Arc<Mutex<String>>,
    next_id: u64,
    /// Messages that came in while an answer was awaited.
    pub(crate) notifications: Vec<Value>,
}

impl Session {
    /// Starts `command`, which must serve on its stdin and stdout.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines() {
                let Ok(line) = line else { break };
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let log = Arc::new(Mutex::new(String::new()));
        // Read, so that a full pipe never holds the server; shown when a test fails.
        let written = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in stderr.lines() {
                let Ok(line) = line else { break };
                written.lock().unwrap().extend([line.as_str(), "\n"]);
            }
            eprintln!("{}", written.lock().unwrap());
        });
        Self { child, stdin, lines, log, next_id: 0, notifications: Vec::new() }
    }

    /// Starts the server and makes the handshake.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut session = Self::spawn(command);
        let info = session.initialize();
        assert_eq!(info["result"]["serverInfo"]["name"], "codebase-mcp", "{info}");
        session
    }

    pub(crate) fn initialize(&mut self) -> Value {
        let answer = self.request(
            "initialize",
            json!({
                "protocolVersion": "2025-06-18",
                "capabilities": {},
                "clientInfo": { "name": "test", "version": "1" },
            }),
        );
        self.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        answer
    }

    /// Sends a request and waits for its answer.
    pub(crate) fn request(&mut self, method: &str, params: Value) -> Value {
        self.next_id += 1;
        let id = self.next_id;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        loop {
            let message = self.receive();
            if message["id"] == id {
                return message;
            }
            self.notifications.push(message);
        }
    }

    /// Calls a tool and gives its structured result.
    pub(crate) fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let answer = self.request("tools/call", json!({ "name": tool, "arguments": arguments }));
        let result = &answer["result"];
        assert_ne!(result["isError"], true, "{answer:#}");
        result["structuredContent"].clone()
    }

    /// Calls a tool that must fail and gives its error, whose shape is checked.
    pub(crate) fn refused(&mut self, tool: &str, arguments: Value) -> Value {
        let answer = self.request("tools/call", json!({ "name": tool, "arguments": arguments }));
        let result = &answer["result"];
        assert_eq!(result["isError"], true, "{answer:#}");
        let error = result["structuredContent"].clone();
        for field in ["code", "message", "suggestion"] {
            assert!(error[field].as_str().is_some_and(|text| !text.is_empty()), "{error:#}");
        }
        assert!(error["details"].is_object(), "{error:#}");
        error
    }

    /// Follows a job to its end.
    pub(crate) fn finish(&mut self, job: &Value) -> Value {
        loop {
            let status = self.call("get_indexing_status", json!({ "job_id": job["job_id"] }));
            if status["status"] == "completed" || status["status"] == "failed" {
                return status;
            }
            super::pause();
        }
    }

    pub(crate) fn send(&mut self, message: &Value) {
        self.send_line(&message.to_string());
    }

    pub(crate) fn send_line(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("the session is open");
        writeln!(stdin, "{line}").unwrap();
    }

    /// The next line of the server, which must be a JSON-RPC message.
    pub(crate) fn receive(&mut self) -> Value {
        let line = self.lines.recv_timeout(PATIENCE).expect("a line from the server");
        let message: Value = serde_json::from_str(&line).expect("stdout carries only JSON");
        assert_eq!(message["jsonrpc"], "2.0", "{message}");
        message
    }

    /// What the server has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Closes stdin, as a client that leaves, and waits for the server's end.
    pub(crate) fn leave(mut self) -> Option<i32> {
        self.stdin = None;
        let code = self.child.wait().unwrap().code();
        while let Ok(line) = self.lines.try_recv() {
            let message: Value = serde_json::from_str(&line).expect("stdout carries only JSON");
            assert_eq!(message["jsonrpc"], "2.0");
        }
        code
    }

    /// Whether the server has ended, with success.
    pub(crate) fn has_ended(&mut self) -> bool {
        let status = self.child.try_wait().unwrap();
        status.is_some_and(|status| {
            assert!(status.success(), "{status}");
            true
        })
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.stdin = None;
        // A test that failed may leave a server that waits for nothing.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
