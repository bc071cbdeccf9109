//! The real binary, and what the operating system says of its memory.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::{free_ports, page, sample, until};

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
        let first = free_ports(3);
        let ports = [first, first + 1, first + 2];
        let [bootstrap, broker, admin] = ports;
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("memory-{name}.yaml"));
        let text = format!(
            "clusters: {{ main: {{ bootstrap: [\"127.0.0.1:{upstream}\"] }} }}\n\
             listeners:\n  local:\n    cluster: main\n    \
             limits: {{ connections: 10000, connections_per_address: 10000, \
             connections_per_second: 10000, connections_per_second_per_address: 10000 }}\n    \
             route: {{ ports: {{ bootstrap: {bootstrap}, brokers: {broker}, broker_ids: 0 }} }}\n\
             admin: {{ bind: \"127.0.0.1:{admin}\" }}\nlog: {{ level: warn }}\n"
        );
        std::fs::write(&file, text).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_doorkeeper"))
            .args(["run", "--config"])
            .arg(file)
            // The bars must not depend on the cores of the machine: each thread has an arena.
            .env("TOKIO_WORKER_THREADS", "2")
            .env("MALLOC_ARENA_MAX", "4")
            .env_remove("RUST_LOG")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let doorkeeper = Self { child, ports };
        until("it is ready", || page(admin, "/readyz").contains("200 OK"));
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

    /// Waits until a sample whose name and labels begin so has this value.
    pub fn until_metric(&self, begins: &str, value: u64) {
        until(begins, || {
            sample(self.ports[2], begins) == Some(value as f64)
        });
    }
}

impl Drop for Doorkeeper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
