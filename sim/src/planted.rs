//! The planted bugs: a program of its own, so that the simulator has none compiled in, whatever was
//! built last.

#[cfg(doorkeeper_canary)]
mod canary;

#[cfg(doorkeeper_canary)]
fn main() -> std::process::ExitCode {
    canary::run()
}

#[cfg(not(doorkeeper_canary))]
fn main() -> Result<(), &'static str> {
    Err("built without planted bugs: `cargo xtask sim canary` builds them in")
}
