//! The proxies that are compared, each a process of its own.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::time::ClockId;
use nix::unistd::Pid;

use crate::client::{self, Client};
use crate::sink::{Sink, consecutive};
use doorkeeper_bench::frames::BROKERS;

/// How long a proxy may take to start.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Doorkeeper,
    Relay,
    Haproxy,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Doorkeeper, Self::Relay, Self::Haproxy];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Doorkeeper => "doorkeeper",
            Self::Relay => "relay",
            Self::Haproxy => "haproxy",
        }
    }
}

/// Where the programs are, and where files may go.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    pub(crate) doorkeeper: PathBuf,
    pub(crate) haproxy: PathBuf,
    pub(crate) own: PathBuf,
    pub(crate) folder: PathBuf,
    pub(crate) log_level: String,
}

/// A proxy in front of the sink. Ends when it is dropped.
pub(crate) struct Proxy {
    pub(crate) kind: Kind,
    /// Where clients reach the sink through it.
    pub(crate) port: u16,
    child: Child,
}

/// Of one process, in KiB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) resident: u64,
    pub(crate) peak: u64,
}

impl Proxy {
    pub(crate) fn start(kind: Kind, programs: &Programs, sink: &Sink) -> Result<Self> {
        // Bootstrap, admin and the brokers, in this order.
        let reserved = consecutive(2 + BROKERS)?;
        let first = reserved.first().context("no port")?.local_addr()?.port();
        drop(reserved);
        let folder = &programs.folder;
        let mut command = match kind {
            Kind::Doorkeeper => {
                let file = folder.join(format!("doorkeeper-{first}.yaml"));
                fs::write(
                    &file,
                    doorkeeper_yaml(first, sink.port, &programs.log_level),
                )?;
                let mut command = Command::new(&programs.doorkeeper);
                command.args(["run", "--config"]).arg(file);
                command
            }
            Kind::Relay => {
                let mut command = Command::new(&programs.own);
                command.args(["relay", &(first + 2).to_string(), &sink.port.to_string()]);
                command
            }
            Kind::Haproxy => {
                let file = folder.join(format!("haproxy-{first}.cfg"));
                fs::write(&file, haproxy_cfg(first + 2, sink.port))?;
                let mut command = Command::new(&programs.haproxy);
                command.args(["-db", "-q", "-f"]).arg(file);
                command
            }
        };
        let log = fs::File::create(folder.join(format!("{}-{first}.log", kind.name())))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", kind.name()))?;
        let mut proxy = Self {
            kind,
            port: first + 2,
            child,
        };
        proxy.until_ready(first + 1)?;
        Ok(proxy)
    }

    fn until_ready(&mut self, admin: u16) -> Result<()> {
        let begun = Instant::now();
        let mut buffer = client::buffer();
        loop {
            let ready = match self.kind {
                Kind::Doorkeeper => page(admin, "/readyz").is_ok_and(|it| it.contains("200 OK")),
                Kind::Relay | Kind::Haproxy => Client::ready(self.port, &mut buffer).is_ok(),
            };
            if ready {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}", self.kind.name());
            }
            if begun.elapsed() > PATIENCE {
                bail!("{} is not ready after {PATIENCE:?}", self.kind.name());
            }
            thread::sleep(LOOK_AGAIN_AFTER);
        }
    }

    /// The processor time it has taken so far, in seconds, with its threads that have ended.
    pub(crate) fn cpu(&self) -> Result<f64> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?);
        let time = ClockId::pid_cpu_clock_id(pid)?.now()?;
        Ok(Duration::from(time).as_secs_f64())
    }

    pub(crate) fn memory(&self) -> Result<Memory> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let kib = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name));
            let number = line.and_then(|line| line.split_whitespace().nth(1));
            number
                .and_then(|it| it.parse().ok())
                .with_context(|| format!("no {name} in the status of {}", self.kind.name()))
        };
        Ok(Memory {
            resident: kib("VmRSS:")?,
            peak: kib("VmHWM:")?,
        })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn page(port: u16, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    Ok(page)
}

fn doorkeeper_yaml(first: u16, sink: u16, log_level: &str) -> String {
    let (admin, brokers, last) = (first + 1, first + 2, BROKERS - 1);
    format!(
        "clusters: {{ main: {{ bootstrap: [\"127.0.0.1:{sink}\"] }} }}\n\
         listeners:\n  local:\n    cluster: main\n    \
         limits: {{ connections: 20000, connections_per_address: 20000, \
         connections_per_second: 100000, connections_per_second_per_address: 100000 }}\n    \
         route: {{ ports: {{ bootstrap: {first}, brokers: {brokers}, broker_ids: 0-{last} }} }}\n\
         admin: {{ bind: \"127.0.0.1:{admin}\" }}\nlog: {{ level: {log_level} }}\n"
    )
}

fn haproxy_cfg(listen: u16, sink: u16) -> String {
    format!(
        "global\n  maxconn 9000\ndefaults\n  mode tcp\n  timeout connect 10s\n  \
         timeout client 600s\n  timeout server 600s\nfrontend in\n  \
         bind 127.0.0.1:{listen}\n  default_backend out\nbackend out\n  \
         server sink 127.0.0.1:{sink}\n"
    )
}
