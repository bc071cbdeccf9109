//! The proxies that are compared, each a process of its own.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::time::ClockId;
use nix::unistd::Pid;
use rustls::ClientConfig;

use crate::client::{self, Client, Target};
use crate::sink::{Sink, consecutive};
use crate::tls::{self, Tls};
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

/// Which legs of a proxy speak TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Setup {
    Plaintext,
    /// Clients speak TLS.
    Tls,
    /// Clients speak TLS, with a key exchange that holds against quantum computers too.
    HybridTls,
    /// Clients speak TLS, and so do the brokers.
    TlsOnBothLegs,
}

impl Setup {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Tls => "TLS",
            Self::HybridTls => "hybrid TLS",
            Self::TlsOnBothLegs => "TLS on both legs",
        }
    }

    fn client(self, tls: &Tls) -> Option<Arc<ClientConfig>> {
        match self {
            Self::Plaintext => None,
            Self::Tls | Self::TlsOnBothLegs => Some(Arc::clone(&tls.client)),
            Self::HybridTls => Some(Arc::clone(&tls.hybrid_client)),
        }
    }

    const fn group(self) -> &'static str {
        match self {
            Self::Plaintext | Self::Tls | Self::TlsOnBothLegs => tls::GROUP,
            Self::HybridTls => tls::HYBRID_GROUP,
        }
    }
}

/// Where the programs are, and where files may go.
#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) doorkeeper: PathBuf,
    pub(crate) haproxy: PathBuf,
    pub(crate) own: PathBuf,
    pub(crate) folder: PathBuf,
    pub(crate) log_level: String,
    pub(crate) tls: Tls,
}

/// A proxy in front of the sink. Ends when it is dropped.
pub(crate) struct Proxy {
    pub(crate) kind: Kind,
    /// Where clients reach the sink through it.
    pub(crate) target: Target,
    child: Child,
}

/// Of one process, in KiB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) resident: u64,
    pub(crate) peak: u64,
}

impl Proxy {
    pub(crate) fn start(
        kind: Kind,
        setup: Setup,
        programs: &Programs,
        sink: &Sink,
    ) -> Result<Self> {
        // Bootstrap, admin and the brokers, in this order.
        let reserved = consecutive(2 + BROKERS)?;
        let first = reserved.first().context("no port")?.local_addr()?.port();
        drop(reserved);
        let folder = &programs.folder;
        let mut command = match kind {
            Kind::Doorkeeper => {
                let file = folder.join(format!("doorkeeper-{first}.yaml"));
                fs::write(&file, doorkeeper_yaml(first, sink, setup, programs))?;
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
                fs::write(&file, haproxy_cfg(first + 2, sink, setup, programs))?;
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
            target: Target {
                port: first + 2,
                tls: setup.client(&programs.tls),
            },
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
                Kind::Relay | Kind::Haproxy => Client::ready(&self.target, &mut buffer).is_ok(),
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

fn doorkeeper_yaml(first: u16, sink: &Sink, setup: Setup, programs: &Programs) -> String {
    let (admin, brokers, last) = (first + 1, first + 2, BROKERS - 1);
    let parameters = format!(
        "min_version: TLSv1.3\n      cipher_suites: [{}]\n      groups: [{}]\n",
        tls::CIPHER_SUITE,
        setup.group()
    );
    let tls = &programs.tls;
    let client_leg = match setup {
        Setup::Plaintext => String::new(),
        Setup::Tls | Setup::HybridTls | Setup::TlsOnBothLegs => format!(
            "    tls:\n      certificates:\n        - certificate_file: {}\n          \
             key_file: {}\n      {parameters}",
            tls.certificate.display(),
            tls.key.display()
        ),
    };
    let upstream_leg = match setup {
        Setup::Plaintext | Setup::Tls | Setup::HybridTls => String::new(),
        Setup::TlsOnBothLegs => {
            let mut dial = String::from("    dial:\n");
            for broker in 0..BROKERS {
                let (plaintext, tls) = (sink.port + broker, sink.tls_port + broker);
                dial += &format!("      \"127.0.0.1:{plaintext}\": \"127.0.0.1:{tls}\"\n");
            }
            let ca = tls.ca.display();
            format!("{dial}    tls:\n      ca_file: {ca}\n      {parameters}")
        }
    };
    format!(
        "clusters:\n  main:\n    bootstrap: [\"127.0.0.1:{sink}\"]\n{upstream_leg}\
         listeners:\n  local:\n    cluster: main\n    \
         limits: {{ connections: 20000, connections_per_address: 20000, \
         connections_per_second: 100000, connections_per_second_per_address: 100000 }}\n    \
         route: {{ ports: {{ bootstrap: {first}, brokers: {brokers}, broker_ids: 0-{last} }} }}\n\
         {client_leg}\
         admin: {{ bind: \"127.0.0.1:{admin}\" }}\nlog: {{ level: {log_level} }}\n",
        sink = sink.port,
        log_level = programs.log_level,
    )
}

fn haproxy_cfg(listen: u16, sink: &Sink, setup: Setup, programs: &Programs) -> String {
    let tls = &programs.tls;
    let suite = tls::CIPHER_SUITE;
    let client_leg = match setup {
        Setup::Plaintext => String::new(),
        Setup::Tls | Setup::HybridTls | Setup::TlsOnBothLegs => format!(
            " ssl crt {} ssl-min-ver TLSv1.3 ciphersuites {suite} curves {} no-tls-tickets",
            tls.both.display(),
            setup.group()
        ),
    };
    let (port, upstream_leg) = match setup {
        Setup::Plaintext | Setup::Tls | Setup::HybridTls => (sink.port, String::new()),
        Setup::TlsOnBothLegs => (
            sink.tls_port,
            format!(
                " ssl verify required ca-file {} ssl-min-ver TLSv1.3 ciphersuites {suite} \
                 no-ssl-reuse",
                tls.ca.display()
            ),
        ),
    };
    format!(
        "global\n  maxconn 9000\ndefaults\n  mode tcp\n  timeout connect 10s\n  \
         timeout client 600s\n  timeout server 600s\nfrontend in\n  \
         bind 127.0.0.1:{listen}{client_leg}\n  default_backend out\nbackend out\n  \
         server sink 127.0.0.1:{port}{upstream_leg}\n"
    )
}
