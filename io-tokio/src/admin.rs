//! The admin listener: health, readiness and metrics over HTTP.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::metrics::Metrics;
use crate::readiness::Readiness;

/// What connections to the admin listener may cost.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// At a time; for one more, another one must go.
    connections: usize,
    /// From accept to the end of the request's headers.
    headers_timeout: Duration,
    /// One request and its response.
    exchange_timeout: Duration,
}

const LIMITS: Limits = Limits {
    connections: 32,
    headers_timeout: Duration::from_secs(1),
    exchange_timeout: Duration::from_secs(10),
};

const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Serves until it is dropped.
pub async fn serve(
    listener: TcpListener,
    ready: Arc<Readiness>,
    metrics: Arc<Metrics>,
) -> Infallible {
    serve_within(LIMITS, listener, ready, metrics).await
}

async fn serve_within(
    limits: Limits,
    listener: TcpListener,
    ready: Arc<Readiness>,
    metrics: Arc<Metrics>,
) -> Infallible {
    let mut connections = AdminConnections::default();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_BACKOFF).await;
            continue;
        };
        connections.make_room(limits.connections);
        let (ready, metrics) = (Arc::clone(&ready), Arc::clone(&metrics));
        let has_asked = Arc::new(AtomicBool::new(false));
        let asks = Arc::clone(&has_asked);
        let task = tokio::spawn(exchange(limits, stream, move |request| {
            asks.store(true, Ordering::Relaxed);
            response(request, &ready, &metrics)
        }));
        connections
            .open
            .push_back(AdminConnection { has_asked, task });
    }
}

/// One request and its response.
async fn exchange(
    limits: Limits,
    stream: TcpStream,
    response: impl Fn(&Request<hyper::body::Incoming>) -> Response<Full<Bytes>>,
) {
    let response = service_fn(|request| {
        let response = response(&request);
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.headers_timeout)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), response);
    // A client that went away or was too slow is not our concern.
    let _ = tokio::time::timeout(limits.exchange_timeout, connection).await;
}

/// The open connections, the oldest first.
#[derive(Debug, Default)]
struct AdminConnections {
    open: VecDeque<AdminConnection>,
}

#[derive(Debug)]
struct AdminConnection {
    /// Its request has come whole.
    has_asked: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Drop for AdminConnection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl AdminConnections {
    /// A connection that only takes a place must not keep out a probe: the one that has been silent
    /// for the longest time is closed first, then the one that takes longest to read its response.
    fn make_room(&mut self, connections: usize) {
        self.open
            .retain(|connection| !connection.task.is_finished());
        if self.open.len() >= connections {
            let silent =
                |connection: &AdminConnection| !connection.has_asked.load(Ordering::Relaxed);
            let place = self.open.iter().position(silent).unwrap_or(0);
            drop(self.open.remove(place));
        }
    }
}

fn response<B>(
    request: &Request<B>,
    ready: &Readiness,
    metrics: &Metrics,
) -> Response<Full<Bytes>> {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let (status, text) = match request.uri().path() {
        "/healthz" | "/readyz" | "/metrics" if !is_read => (
            StatusCode::METHOD_NOT_ALLOWED,
            "only GET and HEAD\n".to_owned(),
        ),
        "/healthz" => (StatusCode::OK, "ok\n".to_owned()),
        "/readyz" if ready.is_ready() => (StatusCode::OK, "ready\n".to_owned()),
        "/readyz" => (StatusCode::SERVICE_UNAVAILABLE, missing(ready)),
        "/metrics" => (StatusCode::OK, metrics.text()),
        _ => (StatusCode::NOT_FOUND, "not found\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    // Prometheus rejects a page that does not name its format.
    let kind = match request.uri().path() {
        "/metrics" if is_read => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        _ => "text/plain; charset=utf-8",
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// One line for each thing that is missing.
fn missing(ready: &Readiness) -> String {
    let mut lines = String::new();
    if ready.is_draining() {
        lines.push_str("draining\n");
    }
    if !ready.is_bound() {
        lines.push_str("not all ports are bound\n");
    }
    for cluster in ready.undiscovered() {
        lines.push_str(&format!("cluster {cluster} is not discovered\n"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    fn status(method: Method, path: &str, ready: &Readiness) -> u16 {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .body(())
            .unwrap();
        response(&request, ready, &Metrics::new([]))
            .status()
            .as_u16()
    }

    #[test]
    fn only_what_is_there_can_be_read() {
        let ready = Readiness::new([]);
        assert_eq!(status(Method::GET, "/healthz", &ready), 200);
        assert_eq!(status(Method::HEAD, "/metrics", &ready), 200);
        assert_eq!(status(Method::POST, "/metrics", &ready), 405);
        assert_eq!(status(Method::GET, "/", &ready), 404);
    }

    #[test]
    fn readiness_names_what_is_missing() {
        let ready = Readiness::new(["orders".into()]);
        assert_eq!(status(Method::GET, "/readyz", &ready), 503);
        let expected = "not all ports are bound\ncluster orders is not discovered\n";
        assert_eq!(missing(&ready), expected);
    }
    #[tokio::test]
    async fn idle_connections_do_not_keep_a_probe_waiting() {
        let limits = Limits {
            connections: 4,
            headers_timeout: Duration::from_secs(3600),
            exchange_timeout: Duration::from_secs(3600),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let ready = Arc::new(Readiness::new([]));
        let metrics = Arc::new(Metrics::new([]));
        let serving = tokio::spawn(serve_within(limits, listener, ready, metrics));
        let mut idle = Vec::new();
        for _ in 0..2 * limits.connections {
            idle.push(TcpStream::connect(at).await.unwrap());
        }
        let mut probe = TcpStream::connect(at).await.unwrap();
        let request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
        probe.write_all(request).await.unwrap();
        let mut response = String::new();
        probe.read_to_string(&mut response).await.unwrap();
        assert!(response.starts_with("HTTP/1.1 200 OK"), "{response}");
        // The first ones had to go; the last one may go on waiting.
        let mut byte = [0];
        assert_eq!(idle[0].read(&mut byte).await.unwrap(), 0);
        let last = idle.last().unwrap().try_read(&mut byte);
        assert_eq!(last.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        serving.abort();
    }
}
