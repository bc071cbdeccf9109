//! The admin listener: health, readiness and metrics over HTTP.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::metrics::Metrics;
use crate::serve::Readiness;

/// Connections at a time; further ones wait in the backlog.
const CONNECTIONS_MAX: usize = 32;
const HEADERS_WITHIN: Duration = Duration::from_secs(5);
/// One request and its answer.
const EXCHANGE_WITHIN: Duration = Duration::from_secs(10);
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Answers until it is dropped.
pub async fn serve(listener: TcpListener, ready: Arc<Readiness>, metrics: Arc<Metrics>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_BACKOFF).await;
            continue;
        };
        let (ready, metrics) = (Arc::clone(&ready), Arc::clone(&metrics));
        tokio::spawn(async move {
            let answer = service_fn(move |request| {
                let response = answer(&request, &ready, &metrics);
                std::future::ready(Ok::<_, Infallible>(response))
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADERS_WITHIN)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), answer);
            // A client that went away or was too slow is not our concern.
            let _ = tokio::time::timeout(EXCHANGE_WITHIN, connection).await;
            drop(place);
        });
    }
}

fn answer<B>(request: &Request<B>, ready: &Readiness, metrics: &Metrics) -> Response<Full<Bytes>> {
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
    // Prometheus refuses what does not say its format.
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

    fn status(method: Method, path: &str, ready: &Readiness) -> u16 {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .body(())
            .unwrap();
        answer(&request, ready, &Metrics::new([])).status().as_u16()
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
        let ready = Readiness::new([Arc::from("orders")]);
        assert_eq!(status(Method::GET, "/readyz", &ready), 503);
        let expected = "not all ports are bound\ncluster orders is not discovered\n";
        assert_eq!(missing(&ready), expected);
    }
}
