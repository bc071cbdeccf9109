//! The real binary under small limits of file descriptors.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests may unwrap")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

/// How long anything that is waited for may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bootstrap, broker, admin.
type Ports = [u16; 3];

fn free_ports() -> Ports {
    let bound = [(); 3].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    bound.map(|it| it.local_addr().unwrap().port())
}

fn file(name: &str, connections: usize, [bootstrap, broker, admin]: Ports) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("descriptors-{name}.yaml"));
    let text = format!(
        "clusters: {{ main: {{ bootstrap: [no-such-host.invalid:9092] }} }}\n\
         listeners:\n  local:\n    cluster: main\n    \
         limits: {{ connections: {connections}, connections_per_address: {connections} }}\n    \
         route: {{ ports: {{ bootstrap: {bootstrap}, brokers: {broker}, broker_ids: 0 }} }}\n\
         admin: {{ bind: \"127.0.0.1:{admin}\" }}\n"
    );
    std::fs::write(&path, text).unwrap();
    path
}

/// doorkeeper, started by a shell that sets both limits first.
fn limited(soft: u64, hard: u64, command: &str, file: &Path) -> Command {
    let mut shell = Command::new("sh");
    let script = format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$@\"");
    shell.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_doorkeeper")]);
    shell.args([command, "--config"]).arg(file);
    shell
}

struct Running {
    child: Child,
    ports: Ports,
    /// What it had logged until it was listening.
    log: String,
}

impl Running {
    fn start(name: &str, soft: u64, hard: u64) -> Self {
        let ports = free_ports();
        let mut command = limited(soft, hard, "run", &file(name, 1000, ports));
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut log = String::new();
        while !log.contains("listening") {
            log.push_str(&lines.next().expect("it listens").unwrap());
            log.push('\n');
        }
        // The rest must be read by somebody, or the process would wait for it.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Self { child, ports, log }
    }

    fn proc(&self, name: &str) -> PathBuf {
        Path::new("/proc")
            .join(self.child.id().to_string())
            .join(name)
    }

    fn open(&self) -> usize {
        std::fs::read_dir(self.proc("fd")).unwrap().count()
    }

    /// What the admin listener says.
    fn page(&self, path: &str) -> String {
        let mut page = String::new();
        let mut stream = self.connect(2);
        let asked = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(asked.as_bytes()).unwrap();
        stream.read_to_string(&mut page).unwrap();
        page
    }

    fn sample(&self, name: &str) -> u64 {
        let page = self.page("/metrics");
        let value = page.lines().find_map(|line| line.strip_prefix(name));
        value.map_or(0, |value| value.trim().parse().unwrap())
    }

    fn connect(&self, port: usize) -> TcpStream {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, *self.ports.get(port).unwrap()));
        let stream = stream.unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Waits until it has noticed that all clients but so many are gone: only then are their places
    /// free.
    fn has_let_go_of_all_but(&self, connections: u64) {
        let begun = Instant::now();
        let mut open = u64::MAX;
        while open > connections {
            assert!(begun.elapsed() < PATIENCE, "{open} clients are counted");
            open = self.sample("doorkeeper_connections{listener=\"local\"}");
        }
        assert_eq!(open, connections);
    }

    /// A client that is served: ApiVersions in a version that nobody knows needs no broker.
    fn is_served(&self) {
        Self::serves(self.connect(0));
    }

    /// The same, from another address of this machine.
    fn is_served_from(&self, address: Ipv4Addr) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((address, 0)).into()).unwrap();
        let [bootstrap, ..] = self.ports;
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, bootstrap));
        socket.connect(&at.into()).unwrap();
        Self::serves(socket.into());
    }

    fn serves(mut client: TcpStream) {
        client
            .write_all(b"\0\0\0\x0a\0\x12\0\x4d\0\0\0\x07\xff\xff")
            .unwrap();
        let mut response = [0; 10];
        client.read_exact(&mut response).unwrap();
        assert!(response.ends_with(&[0, 0, 0, 7, 0, 35]), "{response:?}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn run_raises_the_soft_limit_and_says_what_it_came_to() {
    let running = Running::start("raised", 64, 512);
    let limits = std::fs::read_to_string(running.proc("limits")).unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .unwrap();
    let numbers: Vec<&str> = line.split_whitespace().skip(3).take(2).collect();
    assert_eq!(numbers, ["512", "512"]);
    let said = &running.log;
    assert!(
        said.contains("file descriptors limit=\"512\" was=\"64\""),
        "{said}"
    );
    assert!(said.contains("1000 connections"), "{said}");
    assert!(
        said.contains("3068 file descriptors, and this process may open 512"),
        "{said}"
    );
}

#[test]
fn check_warns_of_more_connections_than_there_are_descriptors() {
    let check = |name: &str, connections| -> Output {
        let file = file(name, connections, [1, 2, 3]);
        limited(64, 512, "check", &file).output().unwrap()
    };
    let output = check("many", 1000);
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8(output.stderr).unwrap();
    let warning = "descriptors-many.yaml:2:1: warning: listeners: 1000 connections";
    assert!(said.contains(warning), "{said}");
    let output = check("few", 100);
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "");
}

/// More clients than file descriptors allow are closed at accept, and some descriptors are kept:
/// the admin listener responds all the while, and a client of another address is served.
#[test]
fn a_flood_of_connections_leaves_descriptors_for_the_rest() {
    let running = Running::start("flood", 160, 160);
    let warning = "only 30 connections are let in at a time";
    assert!(running.log.contains(warning), "{}", running.log);
    let flood: Vec<TcpStream> = (0..300).map(|_| running.connect(0)).collect();
    assert!(running.page("/healthz").ends_with("ok\n"));
    running.is_served_from(Ipv4Addr::new(127, 0, 0, 2));
    assert!(running.page("/healthz").ends_with("ok\n"));
    let rejected = "doorkeeper_connections_rejected_total\
                   {listener=\"local\",reason=\"file_descriptors\"}";
    // Half of the places are left for others.
    assert_eq!(running.sample(rejected), 300 - 15);
    running.has_let_go_of_all_but(15);
    let failures = "doorkeeper_accept_failures_total{listener=\"local\"}";
    assert_eq!(running.sample(failures), 0);
    drop(flood);
    running.has_let_go_of_all_but(0);
    running.is_served();
}

#[test]
fn descriptors_are_given_back() {
    let running = Running::start("back", 1024, 1024);
    let before = running.open();
    for _ in 0..50 {
        running.is_served();
    }
    let begun = Instant::now();
    while running.open() > before {
        assert!(begun.elapsed() < PATIENCE, "{} are open", running.open());
        std::thread::yield_now();
    }
}
