//! The scenario runner: arguments in, exit code out. Under the server's name it is the server, so that what
//! is tested is always what was built together with the test.

use std::process::ExitCode;

fn main() -> ExitCode {
    if chaos::load::mcp::is_server(std::env::args_os()) {
        return codebase_mcp::cli::main();
    }
    chaos::cli::main()
}
