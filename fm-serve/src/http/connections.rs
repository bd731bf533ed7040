//! Accepts connections, and ends them when the server stops.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::patient_stream::PatientStream;
use super::places::{Place, Work};
use crate::app::App;

/// How long a connection may be idle, and the head of a request may take. Load balancers keep connections for a minute:
/// the server must not be the one that closes them.
const IDLE: Duration = Duration::from_secs(75);
/// Maximum number of bytes of a request's head.
const HEAD: usize = 64 << 10;
/// Maximum number of headers.
const HEADERS: usize = 64;
/// How often the server looks whether it should stop.
const TICK: Duration = Duration::from_millis(50);
/// What a connection beyond the limit gets.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\n\
    content-type: application/json\r\ncontent-length: 45\r\n\r\n{\"error\":\"the server has no connection left\"}";

/// Accepts connections until `stop` is set. Then requests that have begun are answered, for at most twice their
/// timeout.
pub(crate) async fn listen(listener: TcpListener, router: Router, app: Arc<App>, stop: &AtomicBool) {
    let (closing, is_closing) = watch::channel(());
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => accept(stream, &router, &app, &is_closing),
                // Too many open files, or a connection that was reset before this call.
                Err(error) => {
                    tracing::warn!("cannot accept a connection: {error}");
                    tokio::time::sleep(TICK).await;
                }
            },
            () = tokio::time::sleep(TICK), if !stop.load(Ordering::Relaxed) => {}
        }
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
    app.is_stopping.store(true, Ordering::Relaxed);
    tracing::info!("stopping: {} connections remain", app.connections());
    drop(listener);
    // An error means that there is no connection.
    let _ = closing.send(());
    let are_closed = tokio::time::timeout(2 * app.options.timeout, app.places.all_free()).await;
    if are_closed.is_err() {
        tracing::warn!("{} connections are closed before their requests ended", app.connections());
    }
}

fn accept(stream: TcpStream, router: &Router, app: &Arc<App>, is_closing: &watch::Receiver<()>) {
    // Without it, small answers could wait for acknowledgements.
    let _ = stream.set_nodelay(true);
    let place = app.places.try_take();
    if place.is_none() && !app.places.make_room() {
        // The answer would not be understood where TLS is spoken.
        if app.tls.is_none() {
            drop(tokio::spawn(refuse(stream)));
        }
        return;
    }
    let (router, app, is_closing) = (router.clone(), Arc::clone(app), is_closing.clone());
    tokio::spawn(async move {
        let place = match place {
            Some(place) => Some(place),
            // An idle connection is giving up its place.
            None => tokio::time::timeout(app.options.timeout, app.places.take()).await.ok().flatten(),
        };
        let Some(place) = place.map(Arc::new) else {
            return if app.tls.is_none() {
                refuse(stream).await
            };
        };
        let stream = PatientStream::new(stream, app.options.timeout, Arc::clone(&place));
        let Some(tls) = &app.tls else { return serve(stream, router, is_closing, &place).await };
        match tokio::time::timeout(app.options.timeout, tls.accept(stream)).await {
            Ok(Ok(stream)) => serve(stream, router, is_closing, &place).await,
            Ok(Err(error)) => tracing::debug!("a connection without a usable TLS handshake ends: {error}"),
            Err(_) => tracing::debug!("a connection ends, because its TLS handshake took too long"),
        }
    });
}

/// Serves the requests of a connection until it ends, or another one gets its place.
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    router: Router,
    mut is_closing: watch::Receiver<()>,
    place: &Arc<Place>,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(IDLE).max_buf_size(HEAD).max_headers(HEADERS);
    // A client may end its side once it has sent its request.
    http.half_close(true);
    let (router, of_request) = (TowerToHyperService::new(router), Arc::clone(place));
    let service = service_fn(move |request| {
        of_request.note(Work::Request, true);
        let (answer, place) = (router.call(request), Arc::clone(&of_request));
        async move {
            let answer = answer.await;
            place.note(Work::Request, false);
            answer
        }
    });
    let connection = http.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let result = tokio::select! {
        result = &mut connection => result,
        () = place.lost() => {
            // A request may have arrived just now.
            if !place.is_busy() {
                return;
            }
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        _ = is_closing.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!("a connection ends: {error}");
    }
}

/// Answers a connection beyond the limit without reading its request.
async fn refuse(mut stream: TcpStream) {
    let answer = async {
        stream.writable().await?;
        stream.try_write(FULL)?;
        poll_fn(|context| Pin::new(&mut stream).poll_shutdown(context)).await?;
        // If the request were unread, the system would reset the connection, and the client might not see the answer.
        let mut unread = [0; 4096];
        loop {
            stream.readable().await?;
            match stream.try_read(&mut unread) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(1), answer).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_too_many_connections_has_the_length_that_it_states() {
        let text = std::str::from_utf8(FULL).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{}", body.len());
        assert!(serde_json::from_str::<serde_json::Value>(body).is_ok());
    }
}
