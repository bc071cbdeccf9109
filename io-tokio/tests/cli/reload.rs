//! The real binary reads its files again: all of what they say is served, or nothing changes.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::broker::{Broker, METADATA_REQUEST};
use crate::ca::{CLIENT, Ca, Leaf, NAME, SERVER};
use crate::process::{File, Serving};
use crate::support::{free_ports, page, until};

const CHANGED: &str = "doorkeeper_reloads_total{outcome=\"changed\"}";
const UNCHANGED: &str = "doorkeeper_reloads_total{outcome=\"unchanged\"}";
const FAILED: &str = "doorkeeper_reloads_total{outcome=\"failed\"}";

/// A folder with a configuration and what it names.
struct Folder {
    path: PathBuf,
    ca: Ca,
    broker: Broker,
    ports: u16,
}

impl Folder {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("reload-{name}"));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self {
            path,
            ca: Ca::new(),
            broker: Broker::start(),
            ports: free_ports(6),
        }
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Another certificate for the same name, and its key.
    fn write_identity(&self, name: &str) -> CertificateDer<'static> {
        let (chain, key) = self.ca.pem_of(SERVER);
        self.write(&format!("{name}.pem"), &chain);
        self.write(&format!("{name}.key"), &key);
        CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()
    }

    fn listener(&self, name: &str, port: u16, more: &str) -> String {
        format!(
            "  {name}:\n    cluster: main\n    route:\n      ports: {{ bootstrap: {port}, \
             brokers: {}, broker_ids: 0 }}\n{more}",
            port + 1
        )
    }

    /// Writes the configuration: a listener with these lines, and others behind it.
    fn configure(&self, of_listener: &str, others: &str, of_process: &str) -> File {
        let path = self.path.join("doorkeeper.yaml");
        let [local, admin] = [self.ports, self.ports + 2];
        let text = format!(
            "clusters: {{ main: {{ bootstrap: [\"{}\"] }} }}\nlisteners:\n{}{others}\
             admin: {{ bind: \"127.0.0.1:{admin}\" }}\n{of_process}\n",
            self.broker.address(),
            self.listener("local", local, of_listener),
        );
        fs::write(&path, text).unwrap();
        File {
            path,
            bootstrap: local,
            admin,
        }
    }

    /// Lines of a listener with the certificate of that name.
    fn tls(&self, name: &str, more: &str) -> String {
        let path = self.path.join(name);
        let path = path.display();
        format!(
            "    tls:\n      certificates:\n      - {{ certificate_file: {path}.pem, \
             key_file: {path}.key }}\n{more}"
        )
    }

    fn client_tls(&self, leaf: Option<Leaf>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_slice(self.ca.pem.as_bytes());
        roots.add(ca.unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(
            rustls::crypto::aws_lc_rs::default_provider().into(),
        );
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        Arc::new(match leaf {
            None => builder.with_no_client_auth(),
            Some(leaf) => {
                let (chain, key) = self.ca.pem_of(leaf);
                let chain = CertificateDer::from_pem_slice(chain.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                builder.with_client_auth_cert(vec![chain], key).unwrap()
            }
        })
    }

    /// A client that is connected and served.
    fn connect(&self, tls: &Arc<ClientConfig>) -> Client {
        let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, self.ports)).unwrap();
        let name = ServerName::try_from(NAME).unwrap();
        let tls = ClientConnection::new(Arc::clone(tls), name).unwrap();
        let mut client = Client(StreamOwned::new(tls, socket));
        client.is_served(&self.broker);
        client
    }

    /// What the next handshake shows.
    fn shown(&self) -> CertificateDer<'static> {
        let client = self.connect(&self.client_tls(None));
        client.0.conn.peer_certificates().unwrap()[0].clone()
    }
}

struct Client(StreamOwned<ClientConnection, TcpStream>);

impl Client {
    fn is_served(&mut self, broker: &Broker) {
        self.0.write_all(METADATA_REQUEST).unwrap();
        self.0.flush().unwrap();
        broker.next_request().respond();
        let mut length = [0; 4];
        self.0.read_exact(&mut length).unwrap();
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        self.0.read_exact(&mut frame).unwrap();
    }
}

/// Sends SIGHUP and waits for what comes of it.
fn reload(serving: &Serving, outcome: &str) {
    let before = serving.sample(outcome);
    serving.signal("HUP");
    until("it has read its files again", || {
        serving.sample(outcome) > before
    });
}

fn readiness(file: &File) -> String {
    page(file.admin, "/readyz")
}

#[test]
fn the_next_handshake_shows_the_new_certificate_and_nobody_is_disconnected() {
    let folder = Folder::new("certificate");
    let first = folder.write_identity("server");
    let never = "reload: { poll_interval: 0s }";
    let file = folder.configure(&folder.tls("server", ""), "", never);
    let serving = Serving::start(&file, Stdio::null());
    let mut early = folder.connect(&folder.client_tls(None));
    assert_eq!(folder.shown(), first);
    let second = folder.write_identity("server");
    reload(&serving, CHANGED);
    assert_eq!(folder.shown(), second);
    early.is_served(&folder.broker);
    reload(&serving, UNCHANGED);
    assert_eq!(folder.shown(), second);
    assert!(serving.sample("doorkeeper_listener_certificate_expiry") > 4e9);
}

#[test]
fn a_certificate_that_is_broken_changes_nothing() {
    let folder = Folder::new("broken");
    let first = folder.write_identity("server");
    let never = "reload: { poll_interval: 0s }";
    let file = folder.configure(&folder.tls("server", ""), "", never);
    let mut serving = Serving::start(&file, Stdio::piped());
    let mut lines = BufReader::new(serving.stderr()).lines();
    let mut early = folder.connect(&folder.client_tls(None));
    let ready = readiness(&file);
    folder.write("server.pem", "no certificate");
    let more = "    limits: { connections: 0 }\n";
    folder.configure(&(folder.tls("server", "") + more), "", never);
    reload(&serving, FAILED);
    let said = lines.find_map(|line| line.ok().filter(|line| line.contains("reload failed")));
    let said = said.unwrap();
    for part in ["ERROR", "doorkeeper.yaml:10", "connections"] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    folder.configure(&folder.tls("server", ""), "", never);
    reload(&serving, FAILED);
    let said = lines.find_map(|line| line.ok().filter(|line| line.contains("reload failed")));
    let said = said.unwrap();
    assert!(
        said.contains("certificate_file: no certificate in it"),
        "{said}"
    );
    assert!(serving.sample("doorkeeper_config_in_force") < 0.5);
    assert!(serving.sample("doorkeeper_reload_failed_timestamp_seconds") > 0.0);
    assert_eq!(readiness(&file), ready);
    assert_eq!(folder.shown(), first);
    early.is_served(&folder.broker);
    let second = folder.write_identity("server");
    reload(&serving, CHANGED);
    assert!(serving.sample("doorkeeper_config_in_force") > 0.5);
    assert_eq!(folder.shown(), second);
}

#[test]
fn a_revoked_client_is_gone_within_a_second_and_only_it() {
    let folder = Folder::new("revoked");
    folder.write_identity("server");
    folder.write("ca.pem", &folder.ca.pem);
    let revoke = |serial| {
        let list = folder.ca.crl(serial, (2020, 2100));
        folder.write("revoked.crl", &String::from_utf8(list).unwrap());
    };
    revoke(77);
    let path = folder.path.display();
    let asks = format!(
        "      client_auth: required\n      client_ca_file: {path}/ca.pem\n      \
         crl_files: [{path}/revoked.crl]\n"
    );
    let never = "reload: { poll_interval: 0s }";
    let file = folder.configure(&folder.tls("server", &asks), "", never);
    let serving = Serving::start(&file, Stdio::null());
    let bob = Leaf {
        name: "bob",
        serial: 3,
        ..CLIENT
    };
    let [mut goes, mut stays] = [CLIENT, bob].map(|leaf| {
        let tls = folder.client_tls(Some(leaf));
        folder.connect(&tls)
    });
    revoke(CLIENT.serial);
    let since = Instant::now();
    serving.signal("HUP");
    let mut rest = Vec::new();
    let _ = goes.0.read_to_end(&mut rest);
    assert!(rest.is_empty());
    assert!(
        since.elapsed() < Duration::from_secs(1),
        "{:?}",
        since.elapsed()
    );
    stays.is_served(&folder.broker);
    let closed = "doorkeeper_sessions_closed_total{listener=\"local\",reason=";
    until("it is counted", || {
        serving.sample(&format!("{closed}\"certificate_revoked\"}}")) >= 1.0
    });
    assert!(serving.sample("doorkeeper_connections{listener=\"local\"}") > 0.5);
}

#[test]
fn listeners_and_the_level_of_the_log_come_and_go() {
    let folder = Folder::new("listener");
    let never = "reload: { poll_interval: 0s }";
    let file = folder.configure("", "", never);
    let mut serving = Serving::start(&file, Stdio::piped());
    let mut lines = BufReader::new(serving.stderr()).lines();
    let mut line_with = |part: &str| {
        let mut found = lines.by_ref().map(Result::unwrap);
        found.find(|line| line.contains(part)).unwrap()
    };
    let port = folder.ports + 3;
    let second = folder.listener("second", port, "");
    let debug = format!("{never}\nlog: {{ level: debug, format: json }}");
    folder.configure("", &second, &debug);
    reload(&serving, CHANGED);
    let said = line_with("reloaded");
    assert!(
        said.contains("listener second: added; log: level debug"),
        "{said}"
    );
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    client.write_all(METADATA_REQUEST).unwrap();
    folder.broker.next_request().respond();
    client.read_exact(&mut [0; 8]).unwrap();
    line_with("connected to a broker");
    folder.configure("", "", never);
    reload(&serving, CHANGED);
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).unwrap();
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
    serving.signal("TERM");
    assert_eq!(serving.status().code(), Some(0));
}

#[test]
fn what_needs_a_restart_is_named_and_the_rest_is_served() {
    let folder = Folder::new("restart");
    let file = folder.configure("", "", "reload: { poll_interval: 0s }");
    let mut serving = Serving::start(&file, Stdio::piped());
    let mut lines = BufReader::new(serving.stderr()).lines();
    folder.configure(
        "",
        "",
        "reload: { poll_interval: 0s }\nlog: { format: json }\nbuffered_bytes_max: 2MiB\n\
         drain_timeout: 5s",
    );
    reload(&serving, CHANGED);
    for part in ["log.format", "buffered_bytes_max", "drain_timeout"] {
        assert!(
            lines.by_ref().any(|line| line.unwrap().contains(part)),
            "{part} is not named"
        );
    }
}

/// As Kubernetes does it: `..data` is a link to a folder, and another one is renamed over it.
#[test]
fn a_secret_that_is_mounted_anew_is_found_without_a_signal() {
    let folder = Folder::new("mounted");
    let mount = |name: &str| {
        fs::create_dir_all(folder.path.join(name)).unwrap();
        let certificate = folder.write_identity(&format!("{name}/server"));
        symlink(name, folder.path.join("..data_tmp")).unwrap();
        let data = folder.path.join("..data");
        fs::rename(folder.path.join("..data_tmp"), data).unwrap();
        certificate
    };
    let first = mount("first");
    for name in ["server.pem", "server.key"] {
        symlink(format!("..data/{name}"), folder.path.join(name)).unwrap();
    }
    let often = "reload: { poll_interval: 50ms }";
    let file = folder.configure(&folder.tls("server", ""), "", often);
    let serving = Serving::start(&file, Stdio::null());
    assert_eq!(folder.shown(), first);
    let second = mount("second");
    until("it has read its files again", || {
        serving.sample(CHANGED) > 0.5
    });
    assert_eq!(folder.shown(), second);
}

#[test]
fn a_hundred_reloads_leave_no_descriptor_behind() {
    let folder = Folder::new("hundred");
    let never = "reload: { poll_interval: 0s }";
    let file = folder.configure("", "", never);
    let serving = Serving::start(&file, Stdio::null());
    let port = folder.ports + 3;
    let second = folder.listener("second", port, "");
    let mut most = 0;
    for round in 0..50 {
        folder.configure("", &second, never);
        reload(&serving, CHANGED);
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap());
        folder.configure("", "", never);
        reload(&serving, CHANGED);
        if round == 0 {
            most = serving.descriptors();
        }
    }
    until("no more are open than after the first", || {
        serving.descriptors() <= most
    });
}
