//! Listeners for connections that stay, and the loop that accepts them.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::Body,
    extract::{ConnectInfo, Request},
    response::Response,
    serve::{ListenerExt, TapIo},
};
use hyper::server::conn::http1::Builder;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tower::{Service, ServiceExt};

use super::{
    Limits,
    crowd::{Crowd, Place},
    limits,
    origin::Proxies,
    stop::Stop,
};

/// How many connections the system opens ahead of the server: when all clients come back at once, one
/// that finds no place there tries again a second later. The system may allow less (on Linux,
/// `net.core.somaxconn`); a plain listener has 128.
const AHEAD: i32 = 4_096;
/// How long written data may stay unacknowledged before the connection is given up: a window that is
/// closed for some seconds is no dead client.
const UNACKNOWLEDGED: Duration = Duration::from_secs(20);
/// How many bytes that were not sent yet the system takes for a connection: what a client does not read
/// waits where it is counted, and not in the system's memory, which takes megabytes for each.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 131_072;
/// How long requests that are not Socket.IO's may take to be answered after everything else ended.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// What a connection hears that finds no place.
const BUSY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nx-content-type-options: nosniff\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Prepares a listener for realtime connections: 4,096 of them may wait to be accepted (on Unix, as far
/// as the system allows), as many do after a restart; small packets leave at once; and (on Linux) a
/// reader that is gone or stuck is disconnected within 30 seconds, where a plain listener would wait for
/// it without end.
///
/// ```no_run
/// # async fn serve(app: axum::Router) -> std::io::Result<()> {
/// let tcp = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
/// axum::serve(dialogue::listen(tcp), app).await
/// # }
/// ```
///
/// [`Dialogue::serve`](crate::Dialogue::serve) and its like do this themselves, and more: they
/// bound connections, and the time that a request takes to arrive, which `axum::serve` does not.
pub fn listen(tcp: TcpListener) -> TapIo<TcpListener, fn(&mut TcpStream)> {
    let_wait(&tcp);
    tcp.tap_io(prepare)
}

fn let_wait(tcp: &TcpListener) {
    // To listen once more is to change how many may wait.
    #[cfg(unix)]
    if let Err(error) = SockRef::from(tcp).listen(AHEAD) {
        tracing::debug!(%error, "as many connections may wait as before");
    }
    #[cfg(not(unix))]
    let _ = (tcp, AHEAD);
}

fn prepare(stream: &mut TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY was not set");
    }
    #[cfg(target_os = "linux")]
    {
        let socket = SockRef::from(&*stream);
        if let Err(error) = socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED)) {
            tracing::debug!(%error, "TCP_USER_TIMEOUT was not set");
        }
        if let Err(error) = socket.set_tcp_notsent_lowat(UNSENT) {
            tracing::debug!(%error, "TCP_NOTSENT_LOWAT was not set");
        }
    }
}

/// Accepts connections until the server has stopped. Ends those that are not `WebSockets` when they have
/// their answers, or at once if the future is dropped.
pub(crate) async fn serve<S>(
    tcp: TcpListener,
    service: S,
    limits: &Limits,
    proxies: &Proxies,
    stop: &Stop,
) where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
{
    limits::raise_open_file_limit(limits.connections);
    let_wait(&tcp);
    // Only HTTP/1: to find out that a connection speaks HTTP/2 takes as long as it likes.
    let mut http = Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.handshake_time);
    // The most that is read of a head, and read and written at once; hyper takes no less.
    http.max_buf_size(limits.head.max(8_192));
    let crowd = Crowd::new(limits.connections_per_address, limits.connections);
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let (mut stream, address) = tokio::select! {
            accepted = accept(&tcp) => accepted,
            _ = stop.stopped() => break,
        };
        prepare(&mut stream);
        let Some(held) = hold(&crowd, proxies, address) else {
            // It fits into the empty buffer of a new socket; who writes at this moment may miss it.
            let _ = SockRef::from(&stream).send(BUSY);
            continue;
        };
        let io = TokioIo::new(Held { stream, _held: held });
        let service = service.clone().map_request(move |mut request: Request<_>| {
            request.extensions_mut().insert(ConnectInfo(address));
            request.map(Body::new)
        });
        let served = http.serve_connection(io, TowerToHyperService::new(service)).with_upgrades();
        // Those that come later hear that they are not welcome, and not nothing.
        let (early, draining) = (!stop.is_draining(), stop.draining());
        connections.spawn(async move {
            let mut served = pin!(served);
            let done = tokio::select! {
                done = &mut served => done,
                () = draining, if early => {
                    served.as_mut().graceful_shutdown();
                    served.await
                }
            };
            if let Err(error) = done {
                tracing::trace!(%error, "a connection broke");
            }
        });
    }
    let answered = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(LAST_ANSWERS, answered).await.is_err() {
        tracing::warn!("some requests were not answered");
    }
}

/// Waits until the process is told to end.
pub(crate) async fn told_to_end() {
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminated = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminated) => drop(terminated.recv().await),
            Err(error) => {
                tracing::warn!(%error, "SIGTERM is not heard");
                std::future::pending::<()>().await;
            }
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    tokio::select! {
        () = interrupted => {}
        () = terminated => {}
    }
}

/// The next connection. Errors are one connection's own, or pass: too many files are open.
async fn accept(tcp: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match tcp.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_connections(&error) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

fn is_connections(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionRefused | ConnectionAborted | ConnectionReset)
}

/// A place for one more connection. A trusted proxy has as many as it brings: its clients are counted
/// when they connect.
fn hold(crowd: &Crowd, proxies: &Proxies, address: SocketAddr) -> Option<Place> {
    let trusted = proxies.trust(address.ip().to_canonical());
    crowd.enter((!trusted).then(|| address.ip()))
}

/// A connection and its place, which it holds as a WebSocket, too.
struct Held {
    stream: TcpStream,
    _held: Place,
}

impl AsyncRead for Held {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Held {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
