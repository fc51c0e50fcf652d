//! The server binary: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    codebase_mcp::cli::main()
}
