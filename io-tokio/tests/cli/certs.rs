//! `doorkeeper certs`: what it writes, and what it says of a server.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::process::doorkeeper;

/// A folder that is not there yet.
fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    path
}

/// The exit code, and all that is said.
fn certs(args: &[&str]) -> (Option<i32>, String) {
    let output = doorkeeper().arg("certs").args(args).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[test]
fn certificates_are_written_once_and_keys_are_for_their_owner() {
    let dir = folder("certs-generate");
    let out = dir.to_str().unwrap();
    let generate = |client: &str| {
        let server = ["--server", "kafka.example.com", "--server", "127.0.0.1"];
        let generate = ["generate", "--out", out, "--client", client];
        certs(&[&generate[..], &server].concat())
    };
    let (code, said) = generate("alice");
    assert_eq!(code, Some(0), "{said}");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    for name in ["ca.key", "server.key", "alice.key", "alice.keystore.pem"] {
        assert_eq!(mode(&dir.join(name)), 0o600, "{name}");
    }
    for name in ["ca.pem", "server.pem", "alice.pem"] {
        assert!(dir.join(name).exists() && said.contains(name), "{said}");
    }
    let before = fs::read(dir.join("ca.key")).unwrap();
    let (code, said) = generate("bob");
    assert_eq!(code, Some(1));
    assert!(said.contains("ca.pem is there already"), "{said}");
    assert_eq!(fs::read(dir.join("ca.key")).unwrap(), before);
    assert!(!dir.join("bob.pem").exists());
    // The same CA signs for one more.
    let (code, said) = certs(&["generate", "--ca-dir", out, "--out", out, "--client", "bob"]);
    assert_eq!(
        (code, dir.join("bob.pem").exists()),
        (Some(0), true),
        "{said}"
    );
    for bad in ["../bob", "ca", ".bob", ""] {
        let (code, _) = certs(&["generate", "--out", out, "--client", bad]);
        assert_eq!(code, Some(2), "{bad}");
    }
}

#[cfg(feature = "quickstart")]
#[test]
fn a_server_is_shown_with_who_trusts_it() {
    use std::io::{BufRead as _, BufReader};
    use std::process::Stdio;

    use crate::support::free_ports;

    let dir = folder("certs-fetch");
    let port = free_ports(4);
    let mut command = doorkeeper();
    command.args([
        "quickstart",
        "--mtls",
        "--port",
        &port.to_string(),
        "--certs",
    ]);
    let mut child = command.arg(&dir).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();

    let at = format!("127.0.0.1:{port}");
    let (ca, saved) = (dir.join("ca.pem"), dir.join("saved.pem"));
    let (ca, saved) = (ca.to_str().unwrap(), saved.to_str().unwrap());
    let (code, said) = certs(&["fetch", &at, "--ca", ca, "--out", saved]);
    assert_eq!(code, Some(0), "{said}");
    for part in [
        "subject:     CN=localhost",
        "names:       localhost, 127.0.0.1, ::1",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let server = fs::read_to_string(dir.join("server.pem")).unwrap();
    assert_eq!(fs::read_to_string(saved).unwrap(), server);
    for (args, why) in [
        (vec!["fetch", &at], "certificate_unknown_ca"),
        (
            vec![
                "fetch",
                &at,
                "--ca",
                ca,
                "--server-name",
                "kafka.example.com",
            ],
            "certificate_name_mismatch",
        ),
    ] {
        let (code, said) = certs(&args);
        assert_eq!(code, Some(3), "{said}");
        assert!(said.contains(why), "{said}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let (code, said) = certs(&["fetch", &at, "--ca", ca]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("cannot connect"), "{said}");
}

#[cfg(feature = "quickstart")]
#[test]
fn a_plaintext_broker_is_named() {
    use std::io::{BufRead as _, BufReader};
    use std::process::Stdio;

    use crate::support::free_ports;

    let port = free_ports(4);
    let mut command = doorkeeper();
    command.args(["quickstart", "--port", &port.to_string()]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    let (code, said) = certs(&["fetch", &format!("127.0.0.1:{port}")]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("speaks plaintext"), "{said}");
    child.kill().unwrap();
    child.wait().unwrap();
}
