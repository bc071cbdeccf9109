//! doorkeeper's admin listener: a few lines of HTTP, and the metrics in Prometheus' text form.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Samples to add up: those with this name whose labels hold all of these texts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pattern<'a> {
    pub(crate) name: &'static str,
    pub(crate) labels: &'a [&'a str],
}

/// Bytes that doorkeeper has read from clients.
pub(crate) const FROM_CLIENTS: Pattern<'_> = Pattern {
    name: "doorkeeper_bytes_total",
    labels: &["leg=\"client\"", "direction=\"in\""],
};
/// Bytes that doorkeeper has written to clients.
pub(crate) const TO_CLIENTS: Pattern<'_> = Pattern {
    name: "doorkeeper_bytes_total",
    labels: &["leg=\"client\"", "direction=\"out\""],
};
/// Sessions that ended, with the reason as a label.
pub(crate) const CLOSED: &str = "doorkeeper_sessions_closed_total";
/// Sessions that ended by an internal error of doorkeeper.
pub(crate) const INTERNAL_ERRORS: Pattern<'_> = Pattern {
    name: CLOSED,
    labels: &["reason=\"internal_error\""],
};
/// Addresses of brokers that clients received as doorkeeper's.
pub(crate) const REWRITTEN: Pattern<'_> = Pattern {
    name: "doorkeeper_addresses_total",
    labels: &["how=\"rewritten\""],
};
/// Responses that were not forwarded because they could not be read.
pub(crate) const WITHHELD: Pattern<'_> = Pattern {
    name: "doorkeeper_responses_withheld_total",
    labels: &[],
};

/// One look at `/metrics`.
#[derive(Debug)]
pub(crate) struct Metrics {
    text: String,
}

impl Metrics {
    pub(crate) async fn scrape(address: &str) -> Result<Self> {
        let (status, text) = get(address, "/metrics").await?;
        if status != 200 {
            bail!("/metrics responds with {status}");
        }
        Ok(Self { text })
    }

    /// The sum of the samples; `None` when there is none, which is a wrong pattern.
    pub(crate) fn sum(&self, pattern: &Pattern<'_>) -> Option<f64> {
        let mut sum = None;
        for line in self.text.lines().filter(|it| !it.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else {
                continue;
            };
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            if name == pattern.name && pattern.labels.iter().all(|it| labels.contains(it)) {
                sum = Some(sum.unwrap_or(0.0) + value.parse().unwrap_or(0.0));
            }
        }
        sum
    }
}

/// How many TLS handshakes failed so.
pub(crate) fn handshake_failures(
    metrics: &Metrics,
    listener: &str,
    leg: &str,
    reason: &str,
) -> f64 {
    let labels = [("listener", listener), ("leg", leg), ("reason", reason)];
    let labels = labels.map(|(name, value)| format!("{name}=\"{value}\""));
    let pattern = Pattern {
        name: "doorkeeper_tls_handshake_failures_total",
        labels: &labels.each_ref().map(String::as_str),
    };
    metrics.sum(&pattern).unwrap_or(0.0)
}

/// A status code and a body. HTTP/1.0: the response ends where the connection ends.
pub(crate) async fn get(address: &str, path: &str) -> Result<(u16, String)> {
    let asking = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut response = String::new();
        stream.read_to_string(&mut response).await?;
        Ok::<_, std::io::Error>(response)
    };
    let response = timeout(Duration::from_secs(5), asking)
        .await
        .with_context(|| format!("{address}{path} does not respond"))?
        .with_context(|| format!("{address}{path}"))?;
    let (head, body) = response.split_once("\r\n\r\n").context("not HTTP")?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|it| it.parse().ok())
        .context("no status")?;
    Ok((status, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_with_the_right_labels_are_added_up() {
        let text = "# TYPE a counter\na{x=\"1\",y=\"2\"} 3\na{y=\"2\"} 4.5\na{y=\"1\"} 7\nab 9\n";
        let metrics = Metrics {
            text: text.to_owned(),
        };
        let pattern = |labels| Pattern { name: "a", labels };
        assert_eq!(metrics.sum(&pattern(&["y=\"2\""])), Some(7.5));
        assert_eq!(metrics.sum(&pattern(&["z=\"2\""])), None);
        assert_eq!(
            metrics.sum(&Pattern {
                name: "ab",
                labels: &[]
            }),
            Some(9.0)
        );
    }
}
