//! Listeners for connections that stay, and the loop that accepts them.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
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
    sync::Semaphore,
    task::JoinSet,
    time::Sleep,
};
use tower::{Service, ServiceExt};

use super::{
    reserve::{self, Reserve},
    tcp_connections::{TcpConnection, TcpConnections},
};
use crate::{Limits, app::stopping::Stop, limits, web::origin::Proxies};

/// How many connections the system opens ahead of the server: when all clients come back at once, one
/// that finds no place there tries again a second later. The system may allow less (on Linux,
/// `net.core.somaxconn`); a plain listener has 128.
const AHEAD: i32 = 4_096;
/// How long written data may stay unacknowledged, or a window closed, before the system gives the connection up.
/// The window of a client or proxy that reads slowly stays closed for minutes where its buffer is large.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_mins(10);
/// The same, of a connection that the server has closed.
#[cfg(target_os = "linux")]
const CLOSING: Duration = Duration::from_secs(20);
/// How many bytes that were not sent yet the system takes for a connection: what a client does not read
/// waits where it is counted, and not in the system's memory, which takes megabytes for each.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 131_072;
/// How long requests that are not Socket.IO's may take to be answered after everything else ended.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// Number of connections without a place that may read their answer at once. Further connections are sent the answer
/// and closed immediately.
const REFUSING: usize = 8;
/// What a connection hears that finds no place.
const BUSY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nx-content-type-options: nosniff\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Prepares a listener for realtime connections: 4,096 of them may wait to be accepted (on Unix, as far
/// as the system allows), as many do after a restart; small packets leave at once; and (on Linux) the system
/// gives a connection up whose other end has acknowledged or read nothing for ten minutes.
///
/// ```no_run
/// # async fn serve(app: axum::Router) -> std::io::Result<()> {
/// let tcp = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
/// axum::serve(dialogue::listen(tcp), app).await
/// # }
/// ```
///
/// [`Dialogue::serve`](crate::Dialogue::serve) and its like do this themselves, and more: they
/// bound connections, the time that a request takes to arrive, and the time that its answer waits for a
/// client that reads nothing ([`Limits::write_time`](crate::Limits::write_time)), which `axum::serve` does not.
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
    connections: &TcpConnections,
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
    let mut reserve = Reserve::new();
    let mut serving = JoinSet::new();
    let refusing = Arc::new(Semaphore::new(REFUSING));
    loop {
        while serving.try_join_next().is_some() {}
        let (mut stream, address) = tokio::select! {
            accepted = accept(&tcp, &mut reserve, connections) => accepted,
            _ = stop.stopped() => break,
        };
        prepare(&mut stream);
        let Some(held) = hold(connections, proxies, address) else {
            if let Ok(place) = refusing.clone().try_acquire_owned() {
                serving.spawn(async move {
                    reserve::refuse(stream, BUSY).await;
                    drop(place);
                });
            } else {
                // It fits into the empty buffer of a new socket; who writes at this moment may miss it.
                let _ = SockRef::from(&stream).send(BUSY);
            }
            continue;
        };
        let (carrier, displaced, delay) = (held.extension(), held.displaced(), held.delay());
        let is_websocket = IsWebSocket::default();
        let (write_time, stalled) = (limits.write_time, None);
        let held = Held {
            stream,
            is_websocket: is_websocket.clone(),
            write_time,
            stalled,
            connection: held,
        };
        let io = TokioIo::new(held);
        let service = service.clone().map_request(move |mut request: Request<_>| {
            request.extensions_mut().insert(ConnectInfo(address));
            request.extensions_mut().insert(is_websocket.clone());
            request.extensions_mut().insert(carrier.clone());
            request.map(Body::new)
        });
        // A connection that comes late has one answer: who is told to end does not wait for more requests.
        let mut http = http.clone();
        http.keep_alive(!stop.is_draining());
        let served = http.serve_connection(io, TowerToHyperService::new(service)).with_upgrades();
        // Those that come later hear that they are not welcome, and not nothing.
        let (early, draining) = (!stop.is_draining(), stop.draining());
        serving.spawn(async move {
            let (mut served, mut displaced) = (pin!(served), pin!(displaced));
            if let Some(delay) = delay {
                tokio::select! {
                    () = tokio::time::sleep(delay) => {}
                    () = &mut displaced => return,
                }
            }
            // A request that has arrived is answered before the connection makes place for others.
            let done = tokio::select! {
                biased;
                done = &mut served => done,
                () = &mut displaced => return,
                () = draining, if early => {
                    served.as_mut().graceful_shutdown();
                    tokio::select! {
                        biased;
                        done = served => done,
                        () = displaced => return,
                    }
                }
            };
            if let Err(error) = done {
                tracing::trace!(%error, "a connection broke");
            }
        });
    }
    // Who comes now is refused by the system, and does not wait for an answer.
    drop(tcp);
    let answered = async { while serving.join_next().await.is_some() {} };
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
async fn accept(
    tcp: &TcpListener,
    reserve: &mut Reserve,
    connections: &TcpConnections,
) -> (TcpStream, SocketAddr) {
    loop {
        match tcp.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_connections(&error) => {}
            Err(error) if reserve::is_out_of_files(&error) => {
                connections.note_out_of_files();
                reserve.refuse(tcp, BUSY).await;
            }
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

/// Counts one more connection. A trusted proxy has as many as it brings: its clients are counted when they
/// connect.
fn hold(
    connections: &TcpConnections,
    proxies: &Proxies,
    address: SocketAddr,
) -> Option<Arc<TcpConnection>> {
    let trusted = proxies.trust(address.ip().to_canonical());
    connections.enter((!trusted).then(|| address.ip()))
}

/// Whether a connection is a WebSocket, which finds out by itself whether its client reads.
#[derive(Clone, Default)]
pub(crate) struct IsWebSocket(Arc<AtomicBool>);

impl IsWebSocket {
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A connection and its place, which it holds as a WebSocket, too.
struct Held {
    stream: TcpStream,
    is_websocket: IsWebSocket,
    write_time: Duration,
    /// The deadline of a blocked write.
    stalled: Option<Pin<Box<Sleep>>>,
    connection: Arc<TcpConnection>,
}

impl Held {
    /// Fails a write of which the client has read nothing for `write_time`.
    fn in_time<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() || self.is_websocket.0.load(Ordering::Relaxed) {
            self.stalled = None;
            return written;
        }
        let time = self.write_time;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(time)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

#[cfg(target_os = "linux")]
impl Drop for Held {
    fn drop(&mut self) {
        // Nothing counts any more what the system still keeps of it.
        let _ = SockRef::from(&self.stream).set_tcp_user_timeout(Some(CLOSING));
    }
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
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.in_time(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes when it has written all that it has.
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if let Poll::Ready(Ok(())) = flushed {
            self.connection.written();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, buffers);
        self.in_time(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
