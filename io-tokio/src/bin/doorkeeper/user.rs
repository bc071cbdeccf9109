//! `doorkeeper user`: who may log in.

mod change;

use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, anyhow};
use doorkeeper_core::sasl::scram::credential::{ITERATIONS_MAX, ITERATIONS_MIN, SALT_BYTES};
use doorkeeper_core::secret::Secret;
use doorkeeper_io_tokio::login::users::{ITERATIONS, Users};

use crate::check;
use crate::cli::UserCommand;
use crate::failure::Failure;
use change::Change;

/// Longer is no password.
const PASSWORD_BYTES_MAX: u64 = 1024;

pub(crate) fn user(command: &UserCommand) -> Result<(), Failure> {
    match command {
        UserCommand::Add {
            file,
            name,
            iterations,
        } => add(&file.users, name, *iterations),
        UserCommand::Remove { file, name } => remove(&file.users, name),
        UserCommand::List { file } => list(&file.users),
        UserCommand::Check { file, name } => verify(&file.users, name),
    }
}

/// Adds a user, or gives it another password.
fn add(file: &Path, name: &str, iterations: Option<u32>) -> Result<(), Failure> {
    // What is wrong is said before a password is asked for.
    let _ = read_or_begin(file, iterations)?;
    let password = password(true)?;
    let change = Change::begin(file)?;
    let mut users = read_or_begin(file, iterations)?;
    let salts: [[u8; SALT_BYTES]; 2] = [random()?, random()?];
    let set = users.set(name, &password, salts);
    set.map_err(|error| Failure::Usage(error.to_string()))?;
    Ok(change.finish(&users.write())?)
}

/// The users of a file, or none where there is no file yet.
fn read_or_begin(file: &Path, iterations: Option<u32>) -> Result<Users, Failure> {
    match read(file) {
        Ok(users) if iterations.is_none() => Ok(users),
        Ok(_) => {
            let message = "--iterations are those of all users of a file: say them when it is new";
            Err(Failure::Usage(message.to_owned()))
        }
        Err(Failure::Runtime(error)) if is_not_found(&error) => {
            let iterations = iterations.unwrap_or(ITERATIONS);
            if !(ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations) {
                let message =
                    format!("--iterations must be from {ITERATIONS_MIN} to {ITERATIONS_MAX}");
                return Err(Failure::Usage(message));
            }
            Ok(Users::new(&random()?, iterations))
        }
        Err(error) => Err(error),
    }
}

fn remove(file: &Path, name: &str) -> Result<(), Failure> {
    let change = Change::begin(file)?;
    let mut users = read(file)?;
    if !users.remove(name) {
        return Err(anyhow!("there is no user {name:?} in {}", file.display()).into());
    }
    Ok(change.finish(&users.write())?)
}

fn list(file: &Path) -> Result<(), Failure> {
    let users = read(file)?;
    let mut text = String::new();
    for (name, mechanisms) in users.list() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name}\t{}", mechanisms.join(" "));
    }
    check::print(&text)
}

/// Says whether a password is right.
fn verify(file: &Path, name: &str) -> Result<(), Failure> {
    let users = read(file)?;
    let password = password(false)?;
    let (keys, is_known) = users.keys_for_password(name);
    if keys.is_of(&password) && is_known {
        check::print("the password is right\n")
    } else {
        Err(anyhow!("no such user, or another password").into())
    }
}

fn is_not_found(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|it| it.kind() == io::ErrorKind::NotFound)
}

fn read(file: &Path) -> Result<Users, Failure> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()));
    let users = Users::read(&text?);
    users.map_err(|error| anyhow!("{}: {error}", file.display()).into())
}

/// From the terminal, where one is, without showing it; else the first line of standard input.
fn password(is_new: bool) -> Result<Secret, Failure> {
    let stdin = io::stdin();
    let line = if stdin.is_terminal() {
        let first = prompt("password: ")?;
        if is_new && prompt("again: ")? != first {
            return Err(Failure::Usage("the two are not the same".to_owned()));
        }
        first
    } else {
        let mut line = String::new();
        stdin
            .lock()
            .take(PASSWORD_BYTES_MAX + 2)
            .read_line(&mut line)
            .context("cannot read the password from standard input")?;
        line
    };
    let line = line.trim_end_matches(['\r', '\n']);
    if line.is_empty() || line.contains('\0') || line.len() as u64 > PASSWORD_BYTES_MAX {
        let message = format!("a password has 1 to {PASSWORD_BYTES_MAX} bytes, and no NUL");
        return Err(Failure::Usage(message));
    }
    Ok(Secret::new(line.as_bytes()))
}

/// Reads a line from the terminal while it shows nothing of what is typed.
fn prompt(text: &str) -> Result<String, Failure> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let stdin = io::stdin();
    let before = tcgetattr(&stdin).map_err(io::Error::from)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    let _ = write!(io::stderr(), "{text}");
    tcsetattr(&stdin, OptionalActions::Flush, &silent).map_err(io::Error::from)?;
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    tcsetattr(&stdin, OptionalActions::Flush, &before).map_err(io::Error::from)?;
    let _ = writeln!(io::stderr());
    read?;
    Ok(line)
}

fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}
