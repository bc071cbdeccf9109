//! The real binary, and what the operating system says of its memory.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long anything that is waited for may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// From `/proc/PID/status`.
pub struct Memory {
    pub resident_kib: u64,
    pub anonymous_kib: u64,
    pub peak_kib: u64,
}

pub struct Doorkeeper {
    child: Child,
    ports: [u16; 3],
}

impl Doorkeeper {
    /// Starts it in front of one broker, and waits until it is ready.
    pub fn start(name: &str, upstream: u16) -> Self {
        let held: Vec<TcpListener> = (0..3)
            .map(|_| TcpListener::bind(("127.0.0.1", 0)).unwrap())
            .collect();
        let ports = [0, 1, 2].map(|index: usize| held[index].local_addr().unwrap().port());
        drop(held);
        let [bootstrap, broker, admin] = ports;
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("memory-{name}.yaml"));
        let text = format!(
            "clusters: {{ main: {{ bootstrap: [\"127.0.0.1:{upstream}\"] }} }}\n\
             listeners:\n  local:\n    cluster: main\n    \
             limits: {{ connections: 10000, connections_per_address: 10000 }}\n    \
             route: {{ ports: {{ bootstrap: {bootstrap}, brokers: {broker}, broker_ids: 0 }} }}\n\
             admin: {{ bind: \"127.0.0.1:{admin}\" }}\nlog: {{ level: warn }}\n"
        );
        std::fs::write(&file, text).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_doorkeeper"))
            .args(["run", "--config"])
            .arg(file)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let doorkeeper = Self { child, ports };
        until("it is ready", || {
            doorkeeper.page("/readyz").contains("200 OK")
        });
        doorkeeper
    }

    pub fn broker_port(&self) -> u16 {
        self.ports[1]
    }

    pub fn memory(&self) -> Memory {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let kib = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        Memory {
            resident_kib: kib("VmRSS:"),
            anonymous_kib: kib("RssAnon:"),
            peak_kib: kib("VmHWM:"),
        }
    }

    /// Waits until a sample of this name with these labels has this value.
    pub fn until_metric(&self, name: &str, labels: &str, value: u64) {
        until(name, || {
            let page = self.page("/metrics");
            let sample = page
                .lines()
                .find(|line| line.starts_with(name) && line.contains(labels));
            sample.is_some_and(|line| line.ends_with(&format!(" {value}")))
        });
    }

    fn page(&self, path: &str) -> String {
        let mut page = String::new();
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.ports[2])) {
            write!(
                stream,
                "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            )
            .unwrap();
            let _ = stream.read_to_string(&mut page);
        }
        page
    }
}

impl Drop for Doorkeeper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "waited for long: {what}");
        std::thread::yield_now();
    }
}
