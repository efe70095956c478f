//! What a client is told before it connects.

use std::{fmt, sync::Arc, time::Duration};

use rustls::ClientConfig;
use serde::Serialize;
use serde_json::value::to_raw_value;
use tokio::sync::Semaphore;
use url::Url;

use crate::{Client, Reconnect, config::Config, error::ConnectError, tls};

/// The settings of a [`Client`]; made by [`Client::builder`].
#[must_use = "nothing is connected before `connect`"]
pub struct Builder {
    url: String,
    path: String,
    contract: Option<String>,
    config: Config,
}

impl Client {
    /// Prepares a connection to the server at an origin, such as `wss://chat.example.com`; `ws`, `http`
    /// and `https` do, too.
    pub fn builder(url: impl Into<String>) -> Builder {
        Builder::new(url.into())
    }
}

impl Builder {
    fn new(url: String) -> Self {
        let config = Config {
            endpoint: String::new(),
            tls: None,
            credentials: None,
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(10),
            reconnect: Reconnect::default(),
            buffer: 1_024,
            requests: 1_024,
            longest: 64 << 20,
        };
        Self { url, path: "/socket.io".to_owned(), contract: None, config }
    }

    /// Sets the credentials for the server's `authenticate`. The client calls the function for each connection,
    /// and again before the credentials of a connection expire. Default: the client sends no credentials.
    ///
    /// ```no_run
    /// # async fn token() -> String { String::new() }
    /// # async fn connect() -> Result<(), dialogue_client::ConnectError> {
    /// #[derive(serde::Serialize)]
    /// struct Login { token: String }
    ///
    /// let client = dialogue_client::Client::builder("wss://chat.example.com")
    ///     .auth(|| async { Login { token: token().await } })
    ///     .connect()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn auth<C, F>(self, credentials: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        C: Serialize,
        F: Future<Output = C> + Send + 'static,
    {
        self.try_auth(move || {
            let credentials = credentials();
            async move { Ok::<_, ConnectError>(credentials.await) }
        })
    }

    /// Sets the credentials, like [`auth`](Self::auth), by a function that may fail. Then
    /// [`connect`](Self::connect) fails with [`ConnectError::Credentials`]; a client whose connection was lost
    /// tries again.
    pub fn try_auth<C, E, F>(mut self, credentials: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        C: Serialize,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
        F: Future<Output = Result<C, E>> + Send + 'static,
    {
        self.config.credentials = Some(Box::new(move || {
            let credentials = credentials();
            Box::pin(async move {
                let obtained = credentials.await.map_err(Into::into)?;
                Ok(to_raw_value(&obtained)?)
            })
        }));
        self
    }

    /// Sets the path of Socket.IO: what the server's `Builder::path` says, after the prefix of the router or
    /// proxy that it is behind, such as `/app/socket.io`. Default: `/socket.io`.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// How a server behind `wss` or `https` proves who it is: for one whose certificate is of a private
    /// authority, or that wants one of the client. Default: Mozilla's roots, and no certificate.
    ///
    /// ```no_run
    /// use dialogue_client::{Client, rustls};
    /// use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::CertificateDer};
    ///
    /// # async fn connect(authority: CertificateDer<'_>) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut roots = RootCertStore::empty();
    /// roots.add(authority.into_owned())?;
    /// // Named, as another dependency may bring another one.
    /// let provider = ring::default_provider().into();
    /// let tls = ClientConfig::builder_with_provider(provider)
    ///     .with_safe_default_protocol_versions()?
    ///     .with_root_certificates(roots)
    ///     .with_no_client_auth();
    /// let client = Client::builder("wss://chat.internal").tls(tls).connect().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn tls(mut self, config: impl Into<Arc<ClientConfig>>) -> Self {
        self.config.tls = Some(config.into());
        self
    }

    /// The hash of the contract that this program was built with: [`Client::contract`] tells if the
    /// server's is another one. Default: nobody asks.
    pub fn contract(mut self, hash: impl Into<String>) -> Self {
        self.contract = Some(hash.into());
        self
    }

    /// How long a connection may take, credentials included. Default: 10 seconds.
    pub fn connect_timeout(mut self, time: Duration) -> Self {
        self.config.connect_timeout = time;
        self
    }

    /// How long an answer may take, and how long a request may wait until it can be sent. Default: 10
    /// seconds. Triggers of events with history try longer; see [`Trigger::timeout`](crate::Trigger::timeout).
    ///
    /// Where the answer to a rejoin, or a page of missed events, comes too late, the client asks again for fewer events,
    /// and waits twice as long, up to eight times the time.
    pub fn request_timeout(mut self, time: Duration) -> Self {
        self.config.request_timeout = time;
        self
    }

    /// How to come back when the connection is lost. Default: see [`Reconnect`].
    pub fn reconnect(mut self, reconnect: Reconnect) -> Self {
        self.config.reconnect = reconnect;
        self
    }

    /// How many messages wait for the reader of a stream, at least 1. Default: 1,024. What comes beyond
    /// them is read from the server's history later on; see [`Events`](crate::Events).
    pub fn buffer(mut self, messages: usize) -> Self {
        self.config.buffer = messages.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// How many triggers and requests may wait or be under way, at least 1. Default: 1,024. Further ones
    /// wait for their turn, in order. What was sent is under way until it is answered, even if its future is
    /// dropped.
    pub fn requests(mut self, most: usize) -> Self {
        self.config.requests = most.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// Sets the longest message that the client takes from the server, in bytes, at least 1,048,576 (1 MiB). Default:
    /// 67,108,864 (64 MiB), many times more than a server with the default `Limits` sends. Raise it for a server
    /// with larger pages of history or larger events.
    ///
    /// A longer message ends the connection, [`Client::errors`] yields [`ClientError::TooLong`], and the client
    /// connects again. Requests other than triggers, whose answers may be long, are sent again one after another. One
    /// fails with `Unreadable` if a message is too long again while no other such request is in flight.
    ///
    /// If the answers to joins are too long on several connections in a row, each of these connections after the
    /// first counts as a failed attempt for [`Reconnect`]: the delay grows, and the attempts may run out. The same
    /// happens where a stored event is too long: each rejoin brings it again, and interrupts all rooms of this client.
    ///
    /// [`ClientError::TooLong`]: crate::ClientError::TooLong
    pub fn max_message_bytes(mut self, bytes: usize) -> Self {
        self.config.longest = bytes.max(1 << 20);
        self
    }

    /// Connects, and returns once the server has said who this client is. The first connection is yours
    /// to try again; one that is lost later comes back by itself.
    pub async fn connect(self) -> Result<Client, ConnectError> {
        let Self { url, path, contract, mut config } = self;
        config.endpoint = endpoint(&url, &path, contract.as_deref())?;
        let is_secure = config.endpoint.starts_with("wss:");
        config.tls = is_secure.then(|| config.tls.unwrap_or_else(tls::default));
        let config = Arc::new(config);
        let (socket, who) = config.open().await?;
        Ok(Client::start(config, socket, who))
    }
}

/// Where the WebSocket of a server is.
fn endpoint(server: &str, path: &str, contract: Option<&str>) -> Result<String, ConnectError> {
    let wrong = |reason| ConnectError::Url { url: server.to_owned(), reason };
    let mut url = Url::parse(server)
        .map_err(|_| wrong("write it like `wss://chat.example.com` or `ws://localhost:3000`"))?;
    let scheme = match url.scheme() {
        "ws" | "http" => "ws",
        "wss" | "https" => "wss",
        _ => return Err(wrong("it starts with `ws`, `wss`, `http` or `https`")),
    };
    if !url.path().trim_matches('/').is_empty() || url.query().is_some() {
        return Err(wrong("give what comes after the host to `path`"));
    }
    // These are special to URLs alike, so that one can become the other.
    let _ = url.set_scheme(scheme);
    url.set_path(&format!("/{}/", path.trim_matches('/')));
    let mut query = url.query_pairs_mut();
    query.append_pair("EIO", "4").append_pair("transport", "websocket");
    if let Some(hash) = contract {
        query.append_pair("contract", hash);
    }
    drop(query);
    Ok(url.into())
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Credentials are nobody's to read.
        f.debug_struct("Builder").field("url", &self.url).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_and_a_path_make_the_address() {
        let address = |url, path| endpoint(url, path, None).unwrap();
        let query = "EIO=4&transport=websocket";
        assert_eq!(
            address("http://localhost:3000", "/socket.io"),
            format!("ws://localhost:3000/socket.io/?{query}")
        );
        assert_eq!(
            address("wss://chat.example.com/", "live"),
            format!("wss://chat.example.com/live/?{query}")
        );
        assert_eq!(
            endpoint("ws://localhost", "socket.io", Some("a b")).unwrap(),
            format!("ws://localhost/socket.io/?{query}&contract=a+b")
        );
    }

    #[test]
    fn what_is_no_origin_is_told_why() {
        for url in ["localhost:3000", "ftp://localhost", "ws://localhost/chat", "nowhere"] {
            let error = endpoint(url, "/socket.io", None).unwrap_err();
            assert!(matches!(error, ConnectError::Url { .. }), "{url}: {error}");
        }
    }
}
