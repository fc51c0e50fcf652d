//! Has the migrations compiled in again when one is added: the macro that does it only follows those that it knows.

fn main() {
    println!("cargo::rerun-if-changed=migrations");
}
