//! The real binary while it serves.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};

use crate::support::{free_ports, page, sample, until};

pub(crate) fn doorkeeper() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorkeeper"));
    command.env_remove("RUST_LOG");
    command
}

/// A configuration file in the build's folder for tests, with ports of its own.
pub(crate) struct File {
    pub(crate) path: PathBuf,
    pub(crate) bootstrap: u16,
    pub(crate) admin: u16,
}

impl File {
    /// One listener with one broker, in front of this bootstrap address.
    pub(crate) fn new(name: &str, upstream: &str) -> Self {
        let bootstrap = free_ports(3);
        Self::at(name, upstream, [bootstrap, bootstrap + 1, bootstrap + 2])
    }

    pub(crate) fn at(name: &str, upstream: &str, ports: [u16; 3]) -> Self {
        let [bootstrap, broker, admin] = ports;
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.yaml"));
        let text = format!(
            "clusters: {{ main: {{ bootstrap: [\"{upstream}\"] }} }}\n\
             listeners:\n  local:\n    cluster: main\n    route:\n      \
             ports: {{ bootstrap: {bootstrap}, brokers: {broker}, broker_ids: 0 }}\n\
             admin: {{ bind: \"127.0.0.1:{admin}\" }}\n"
        );
        std::fs::write(&path, text).unwrap();
        Self {
            path,
            bootstrap,
            admin,
        }
    }

    pub(crate) fn append(&self, text: &str) {
        let mut whole = std::fs::read_to_string(&self.path).unwrap();
        let _ = writeln!(whole, "{text}");
        std::fs::write(&self.path, whole).unwrap();
    }

    /// Gives the cluster these limits.
    pub(crate) fn limit_cluster(&self, limits: &str) {
        let whole = std::fs::read_to_string(&self.path).unwrap();
        let limited = whole.replacen("] } }", &format!("], limits: {{ {limits} }} }} }}"), 1);
        assert_ne!(whole, limited);
        std::fs::write(&self.path, limited).unwrap();
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = doorkeeper();
        command.arg("run").arg("--config").arg(&self.path);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }
}

/// A process that serves; killed at the latest when the test is over.
pub(crate) struct Serving {
    child: Child,
    admin: u16,
    bootstrap: u16,
}

impl Serving {
    /// Starts it and waits until its ports are bound.
    pub(crate) fn start(file: &File, stderr: Stdio) -> Self {
        Self::spawn(file, file.command().stderr(stderr))
    }

    pub(crate) fn spawn(file: &File, command: &mut Command) -> Self {
        let serving = Self {
            child: command.spawn().unwrap(),
            admin: file.admin,
            bootstrap: file.bootstrap,
        };
        until("the ports are bound", || {
            let ready = page(serving.admin, "/readyz");
            ready.contains("HTTP/1.1") && !ready.contains("not all ports are bound")
        });
        serving
    }

    pub(crate) fn stderr(&mut self) -> ChildStderr {
        self.child.stderr.take().unwrap()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.bootstrap)).unwrap()
    }

    pub(crate) fn sample(&self, begins: &str) -> f64 {
        sample(self.admin, begins).unwrap_or_default()
    }

    pub(crate) fn is_healthy(&self) -> bool {
        page(self.admin, "/healthz").contains("200 OK")
    }

    pub(crate) fn is_draining(&self) -> bool {
        page(self.admin, "/readyz").contains("draining")
    }

    pub(crate) fn signal(&self, name: &str) {
        let mut command = Command::new("kill");
        let sent = command.args(["-s", name, &self.child.id().to_string()]);
        assert!(sent.status().unwrap().success());
    }

    /// How many file descriptors it has open.
    pub(crate) fn descriptors(&self) -> usize {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.child.id()));
        open.unwrap().count()
    }

    /// Whether a signal has stopped it, and nothing has made it go on yet.
    pub(crate) fn is_stopped(&self) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        status.unwrap().contains("State:\tT")
    }

    /// Waits for its end, which must come.
    pub(crate) fn status(&mut self) -> ExitStatus {
        let mut status = None;
        until("it ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
