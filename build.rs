//! Has the migrations compiled in again when one is added: the macro that does it only follows those that it knows.

#![expect(clippy::print_stdout, reason = "this is how a build script talks to cargo")]

fn main() {
    println!("cargo::rerun-if-changed=migrations");
}
