//! The files that TLS needs: what is said of those that cannot be used.
#![allow(clippy::unwrap_used, reason = "a test binary fails by panicking")]

#[path = "support/ca.rs"]
mod ca;

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use doorkeeper_io_tokio::config::{self, Compiled, Problems, Sources};

use crate::ca::{CLIENT, Ca, Leaf, SERVER};

/// A folder with a CA, a server, a client and what is broken.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("doorkeeper-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        let (folder, ca) = (Self(path), Ca::new());
        folder.write("ca.pem", &ca.pem);
        folder.write(
            "crl.pem",
            std::str::from_utf8(&ca.crl(77, (2020, 2100))).unwrap(),
        );
        for (name, leaf) in [("server", SERVER), ("client", CLIENT)] {
            let (chain, key) = ca.pem_of(leaf);
            folder.write(&format!("{name}.pem"), &chain);
            folder.write(&format!("{name}.key"), &key);
        }
        folder.write("empty.pem", "");
        folder
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.0.join(file);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// What a configuration with these keys of TLS comes to; `@` stands for the folder.
    fn read(&self, listener: &str, cluster: &str) -> Result<Compiled, Problems> {
        let text = format!(
            "clusters:\n  main:\n    bootstrap: [kafka.internal:9093]\n    tls: {{ {cluster} }}\n\
             listeners:\n  local:\n    cluster: main\n    route:\n      \
             ports: {{ bootstrap: 19092, brokers: 19093, broker_ids: 0-2 }}\n    \
             tls: {{ {listener} }}\n"
        );
        let text = text.replace('@', self.0.to_str().unwrap());
        let loaded = config::parse("doorkeeper.yaml", &text, HashMap::new()).unwrap();
        let mut compiled = config::compile(&loaded)?;
        compiled.read_files(&loaded, &mut Sources::default())?;
        Ok(compiled)
    }

    fn problems(&self, listener: &str, cluster: &str) -> Vec<String> {
        let problems = match self.read(listener, cluster) {
            Ok(compiled) => compiled.warnings,
            Err(problems) => problems,
        };
        let all = problems
            .problems
            .iter()
            .map(|it| format!("{}: {}", it.path, it.message));
        all.map(|it| it.replace(self.0.to_str().unwrap(), "@"))
            .collect()
    }
}

const LISTENER: &str = "certificates: [{ certificate_file: @/server.pem, key_file: @/server.key }]";
/// A listener that asks clients for certificates, and this.
fn with_clients(keys: &str) -> String {
    format!("{LISTENER}, client_auth: required, client_ca_file: @/ca.pem, {keys}")
}

const CLUSTER: &str = "ca_file: @/ca.pem";

#[test]
fn files_that_fit_each_other_give_both_legs_tls() {
    let folder = Folder::new("tls-files-good");
    let listener = format!(
        "{LISTENER}, client_auth: required, client_ca_file: @/ca.pem, crl_files: [@/crl.pem], \
         min_version: TLSv1.3, post_quantum: false, client_certificate_file: @/client.pem, \
         client_subjects: [\"s:/CN=[alice]\", \"r:/O=[^acme]\"], \
         principal: {{ mapping_rules: [\"RULE:^CN=(.*)$/$1/\", DEFAULT] }}"
    );
    let cluster = format!(
        "{CLUSTER}, server_name: kafka.example.com, \
         certificate: {{ certificate_file: @/client.pem, key_file: @/client.key }}"
    );
    let compiled = folder.read(&listener, &cluster).unwrap();
    assert!(compiled.plan.listeners.first().unwrap().tls.is_some());
    assert!(compiled.plan.clusters.first().unwrap().tls.is_some());
    assert_eq!(folder.problems(&listener, &cluster), Vec::<String>::new());
}

/// A listener with these keys has this problem at that place.
fn is_said(folder: &Folder, keys: &str, place: &str, message: &str) {
    let problems = folder.problems(keys, CLUSTER);
    let dot = if place.is_empty() { "" } else { "." };
    let begins = format!("listeners.local.tls{dot}{place}: ");
    let is_named = problems
        .iter()
        .any(|it| it.starts_with(&begins) && it.contains(message));
    assert!(is_named, "{keys}: {problems:#?}");
}

#[test]
fn each_file_that_cannot_be_used_is_named_with_its_key() {
    let folder = Folder::new("tls-files-bad");
    for (keys, place, message) in [
        (
            "certificates: [{ certificate_file: @/none.pem, key_file: @/server.key }]".to_owned(),
            "certificates[0].certificate_file",
            "cannot read @/none.pem",
        ),
        (
            "certificates: [{ certificate_file: @/empty.pem, key_file: @/server.key }]".to_owned(),
            "certificates[0].certificate_file",
            "no certificate in it",
        ),
        (
            "certificates: [{ certificate_file: @/server.pem, key_file: @/client.key }]".to_owned(),
            "certificates[0].key_file",
            "does not belong to the first certificate",
        ),
        (
            "certificates: [{ certificate_file: @/server.pem }]".to_owned(),
            "certificates[0]",
            "needs certificate_file and key_file, or keystore_file alone",
        ),
        (
            format!("{LISTENER}, client_auth: required"),
            "client_auth",
            "needs client_ca_file",
        ),
        (
            format!("{LISTENER}, client_auth: optional, client_ca_file: @/empty.pem"),
            "",
            "the CA file: no certificate in it",
        ),
        (
            format!(
                "{LISTENER}, client_auth: optional, client_ca_file: @/ca.pem, \
                 crl_files: [@/empty.pem]"
            ),
            "",
            "a revocation list cannot be read: no list in it",
        ),
        (
            format!("{LISTENER}, client_ca_file: @/ca.pem"),
            "client_ca_file",
            "is of no use",
        ),
        (
            format!("{LISTENER}, cipher_suites: [TLS_RSA_WITH_RC4_128_MD5]"),
            "",
            "is no cipher suite known here",
        ),
    ] {
        is_said(&folder, &keys, place, message);
    }
}

#[test]
fn each_key_about_clients_that_cannot_be_used_is_named() {
    let folder = Folder::new("tls-files-clients");
    for (keys, place, message) in [
        (
            format!("{LISTENER}, principal: {{ san: dns }}"),
            "principal",
            "needs client_ca_file",
        ),
        (
            with_clients("client_subjects: [\"s:CN\"]"),
            "client_subjects[0]",
            "it is neither s:/CN=[value,...]/... nor r:/CN=[pattern,...]/...",
        ),
        (
            with_clients("client_certificate_file: @/empty.pem"),
            "client_certificate_file",
            "no certificate in it",
        ),
        (
            with_clients("principal: {}"),
            "principal",
            "needs either mapping_rules or san",
        ),
        (
            with_clients("principal: { mapping_rules: [] }"),
            "principal.mapping_rules",
            "has no rule, so that no client would be let in",
        ),
        (
            with_clients("principal: { mapping_rules: [DEFAULT, \"RULE:(?=a)b/c/\"] }"),
            "principal.mapping_rules[1]",
            "look-ahead, (?=...) is not supported",
        ),
    ] {
        is_said(&folder, &keys, place, message);
    }
}

#[test]
fn what_is_insecure_or_open_to_others_is_a_warning() {
    let folder = Folder::new("tls-files-warned");
    let insecure = "insecure_skip_verification: certificate";
    let problems = folder.problems(LISTENER, insecure);
    let expected = "clusters.main.tls.insecure_skip_verification: whoever is in between can pass \
                    for a broker";
    assert_eq!(problems, [expected]);
    assert!(folder.read(LISTENER, insecure).is_ok());
    open(&folder.0.join("server.key"));
    let problems = folder.problems(LISTENER, CLUSTER);
    let expected = "listeners.local.tls.certificates[0].key_file: every user of this machine may \
                    read @/server.key: chmod o-rwx";
    assert_eq!(problems, [expected]);
}

#[test]
fn what_is_open_to_others_is_an_error_where_the_configuration_is_strict() {
    let folder = Folder::new("strict");
    open(&folder.0.join("server.key"));
    let read = |strict: &str| {
        let text = format!(
            "strict: {strict}\nclusters: {{ main: {{ bootstrap: [kafka.internal:9093] }} }}\n\
             listeners:\n  local:\n    cluster: main\n    route:\n      \
             ports: {{ bootstrap: 19092, brokers: 19093, broker_ids: 0-2 }}\n    \
             tls: {{ {LISTENER} }}\n"
        );
        let text = text.replace('@', folder.0.to_str().unwrap());
        let loaded = config::parse("doorkeeper.yaml", &text, HashMap::new()).unwrap();
        let mut compiled = config::compile(&loaded).unwrap();
        compiled.read_files(&loaded, &mut Sources::default())
    };
    assert_eq!(read("false"), Ok(()));
    let problems = read("true").unwrap_err();
    assert!(problems.errors().contains("chmod o-rwx"), "{problems}");
}

#[test]
fn a_certificate_that_expires_soon_is_a_warning() {
    let folder = Folder::new("expiry");
    let ca = Ca::new();
    let (chain, key) = ca.pem_of(Leaf {
        years: (2020, 2021),
        ..SERVER
    });
    folder.write("server.pem", &chain);
    folder.write("server.key", &key);
    let problems = folder.problems(LISTENER, CLUSTER);
    let expired = "the certificate has expired: peers will not accept it";
    assert_eq!(
        problems,
        [format!("listeners.local.tls.certificates[0]: {expired}")]
    );
}

fn open(file: &Path) {
    fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap();
}
