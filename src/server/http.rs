//! The HTTP side: `/metrics`, `/healthz`, `/readyz`. For operators and their machines, in the clear.
//!
//! It asks two questions of whoever serves and prints the answers; it knows no session, statement or key, and
//! names of attributes are all that it says of a database.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::metrics::MEDIA_TYPE;

/// What the pages ask.
#[derive(Clone)]
pub struct Pages {
    /// the metrics in Prometheus' text format
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// what is not ready, one line each, with names; empty when everything is
    pub not_ready: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pages")
    }
}

/// Serves until `stop` ends.
///
/// # Errors
/// The listener's.
pub async fn serve(
    listener: TcpListener,
    pages: Pages,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, router(pages))
        .with_graceful_shutdown(stop)
        .await
}

fn router(pages: Pages) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .with_state(pages)
}

async fn metrics(State(pages): State<Pages>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, MEDIA_TYPE)], (pages.metrics)())
}

async fn readyz(State(pages): State<Pages>) -> Response {
    let lines = (pages.not_ready)();
    if lines.is_empty() {
        return "ready\n".into_response();
    }
    let mut body = lines.join("\n");
    body.push('\n');
    (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn fetch(path: &str, lines: Vec<String>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let pages = Pages {
            metrics: Arc::new(|| "pgveil_sessions 3\n".to_owned()),
            not_ready: Arc::new(move || lines.clone()),
        };
        let server = tokio::spawn(serve(listener, pages, std::future::pending()));
        let mut client = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        server.abort();
        answer
    }

    #[tokio::test]
    async fn the_pages_say_what_they_were_told() {
        let metrics = fetch("/metrics", Vec::new()).await;
        assert!(metrics.starts_with("HTTP/1.1 200") && metrics.contains("pgveil_sessions 3"));
        assert!(fetch("/healthz", Vec::new()).await.ends_with("ok\n"));
        assert!(
            fetch("/readyz", Vec::new())
                .await
                .starts_with("HTTP/1.1 200")
        );
        let down = fetch("/readyz", vec!["public.t.c: not applied".to_owned()]).await;
        assert!(down.starts_with("HTTP/1.1 503") && down.ends_with("public.t.c: not applied\n"));
        assert!(fetch("/else", Vec::new()).await.starts_with("HTTP/1.1 404"));
    }
}
