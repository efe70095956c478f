//! A listener for connections that stay.

use std::time::Duration;

use axum::serve::{ListenerExt, TapIo};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};

/// How long written data may stay unacknowledged before the connection is given up.
const UNACKNOWLEDGED: Duration = Duration::from_secs(5);

/// Prepares a listener for realtime connections: small packets leave at once, and (on Linux) a
/// reader that is gone or stuck is disconnected within ten seconds, where a plain listener would
/// wait for it without end.
///
/// ```no_run
/// # async fn serve(app: axum::Router) -> std::io::Result<()> {
/// let tcp = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
/// axum::serve(dialogue::listen(tcp), app).await
/// # }
/// ```
pub fn listen(tcp: TcpListener) -> TapIo<TcpListener, fn(&mut TcpStream)> {
    tcp.tap_io(prepare)
}

fn prepare(stream: &mut TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY was not set");
    }
    #[cfg(target_os = "linux")]
    if let Err(error) = SockRef::from(&*stream).set_tcp_user_timeout(Some(UNACKNOWLEDGED)) {
        tracing::debug!(%error, "TCP_USER_TIMEOUT was not set");
    }
}
