//! Settings of a client.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use rustls::ClientConfig;
use serde_json::value::RawValue;
use tokio::time::timeout;

use crate::{Reconnect, error::ConnectError, socket::Socket, who::Who};

/// What a client needs to know for as long as it lives.
pub(crate) struct Config {
    /// Where to connect, once that is known.
    pub(crate) endpoint: String,
    /// If it is behind TLS.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) connect_timeout: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) reconnect: Reconnect,
    /// How many messages wait for the reader of a stream.
    pub(crate) buffer: usize,
    /// How many requests may be under way.
    pub(crate) requests: usize,
    /// The longest message of the server, in bytes.
    pub(crate) longest: usize,
}

type Obtained = Result<Box<RawValue>, Box<dyn std::error::Error + Send + Sync>>;
type Credentials = Box<dyn Fn() -> BoxFuture<'static, Obtained> + Send + Sync>;

impl Config {
    /// Opens a connection, with credentials of this moment.
    pub(crate) async fn open(&self) -> Result<(Socket, Who), ConnectError> {
        let open = async {
            let auth = self.credentials().await.map_err(ConnectError::Credentials)?;
            Socket::open(&self.endpoint, self.tls.as_ref(), auth.as_deref(), self.longest).await
        };
        timeout(self.connect_timeout, open).await.unwrap_or(Err(ConnectError::Timeout))
    }

    pub(crate) async fn credentials(
        &self,
    ) -> Result<Option<Box<RawValue>>, Box<dyn std::error::Error + Send + Sync>> {
        match &self.credentials {
            Some(credentials) => Ok(Some(credentials().await?)),
            None => Ok(None),
        }
    }
}
