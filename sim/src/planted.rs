//! The planted bugs: a program of its own, so that the simulator has none compiled in, whatever was
//! built last.

#[cfg(doorkeeper_mutants)]
mod mutants;

#[cfg(doorkeeper_mutants)]
fn main() -> std::process::ExitCode {
    mutants::run()
}

#[cfg(not(doorkeeper_mutants))]
fn main() -> Result<(), &'static str> {
    Err("built without planted bugs: `cargo xtask sim mutants` builds them in")
}
