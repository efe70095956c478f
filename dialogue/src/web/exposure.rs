//! Warns of credentials that others on the way could read.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
};

use axum::{
    extract::ConnectInfo,
    http::{Extensions, HeaderMap, HeaderName, HeaderValue, header},
};

use super::origin::Proxies;
use crate::Handshake;

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// An extension of requests that arrived over TLS which this process itself ended. With it, the server
/// does not warn that credentials arrive unencrypted.
///
/// [`Dialogue::serve`](crate::Dialogue::serve) and its like speak no TLS. A server that is set up by hand,
/// on a listener that does, says so with a layer around Dialogue's:
///
/// ```
/// # use dialogue::{App, Dialogue};
/// # fn service<A: App>(chat: Dialogue<A>, routes: axum::Router) -> axum::Router {
/// routes.layer(chat.layer()).layer(axum::Extension(dialogue::Encrypted))
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Encrypted;

/// How what a client sends can be read by others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exposure {
    /// It comes over a network as it is.
    Direct,
    /// A trusted proxy says that it came to it as it is.
    Proxied,
    /// A trusted proxy does not say how it came to it.
    Unsaid,
}

impl Exposure {
    /// How a request can be read by others; `None` where it is encrypted, or comes from this machine, or
    /// where its origin is not known.
    pub(crate) fn of(
        headers: &HeaderMap,
        extensions: &Extensions,
        proxies: &Proxies,
    ) -> Option<Self> {
        let ConnectInfo(socket) = extensions.get::<ConnectInfo<SocketAddr>>()?;
        let socket = socket.ip().to_canonical();
        let client = proxies.client(headers, extensions)?;
        if client.is_loopback() || extensions.get::<Encrypted>().is_some() {
            return None;
        }
        if !proxies.trust(socket) {
            return Some(Self::Direct);
        }
        // Of several, the first is what the client used.
        let said = headers.get(FORWARDED_PROTO).map(HeaderValue::as_bytes);
        let first = said.and_then(|said| said.split(|byte| *byte == b',').next());
        match first.map(<[u8]>::trim_ascii) {
            Some(scheme)
                if [&b"https"[..], b"wss"].iter().any(|one| scheme.eq_ignore_ascii_case(one)) =>
            {
                None
            }
            Some(_) => Some(Self::Proxied),
            None => Some(Self::Unsaid),
        }
    }

    /// What happens, and what to do about it.
    fn advice(self) -> &'static str {
        match self {
            Self::Direct => {
                "credentials arrive unencrypted from another machine: serve behind a proxy that ends TLS \
                 and name it in `Builder::proxies`, or add `dialogue::Encrypted` where this process ends it"
            }
            Self::Proxied => {
                "credentials arrive unencrypted at a trusted proxy: have it redirect `http` to `https`"
            }
            Self::Unsaid => {
                "a trusted proxy does not say whether credentials arrive encrypted: have it set \
                 `X-Forwarded-Proto` to the scheme of the client's request"
            }
        }
    }
}

/// Which warnings were given: each is, once per server.
#[derive(Default)]
pub(crate) struct Warned {
    direct: AtomicBool,
    proxied: AtomicBool,
    unsaid: AtomicBool,
}

impl Warned {
    /// Warns if a client shows credentials that others could read. What they are is not said.
    pub(crate) fn check(&self, auth: Option<&str>, handshake: &Handshake) {
        let Some(exposure) = handshake.exposure() else { return };
        let headers = handshake.headers();
        let remembered =
            headers.contains_key(header::AUTHORIZATION) || headers.contains_key(header::COOKIE);
        if !remembered && !auth.is_some_and(says_something) {
            return;
        }
        let warned = match exposure {
            Exposure::Direct => &self.direct,
            Exposure::Proxied => &self.proxied,
            Exposure::Unsaid => &self.unsaid,
        };
        if !warned.swap(true, Ordering::Relaxed) {
            let address = handshake.address();
            tracing::warn!(?address, "{}", exposure.advice());
        }
    }
}

/// Whether a handshake's `auth` is other than nothing.
fn says_something(auth: &str) -> bool {
    let auth: String = auth.split_whitespace().collect();
    !matches!(&*auth, "" | "null" | "{}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exposure_depends_on_where_a_request_comes_from_and_what_trusted_proxies_say() {
        use Exposure::{Direct, Proxied, Unsaid};
        let proxies = Proxies::parse(&["10.0.0.0/8".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let of = |socket: &str, forwarded: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in forwarded {
                headers.append(HeaderName::from_static(name), value.parse().unwrap());
            }
            let mut extensions = Extensions::new();
            extensions.insert(ConnectInfo(SocketAddr::new(socket.parse().unwrap(), 1)));
            let exposure = Exposure::of(&headers, &extensions, &proxies);
            extensions.insert(Encrypted);
            assert_eq!(Exposure::of(&headers, &extensions, &proxies), None);
            exposure
        };
        let (from, proto) = ("x-forwarded-for", "x-forwarded-proto");
        assert_eq!(of("192.0.2.1", &[]), Some(Direct));
        assert_eq!(of("2001:db8::1", &[]), Some(Direct));
        // A client can write any header.
        assert_eq!(of("192.0.2.1", &[(proto, "https"), (from, "127.0.0.1")]), Some(Direct));
        assert_eq!(of("::1", &[]), None);
        assert_eq!(of("127.0.0.1", &[]), None);
        assert_eq!(of("::ffff:127.0.0.1", &[]), None);
        for socket in ["10.1.2.3", "127.0.0.1"] {
            let client = (from, "192.0.2.1");
            assert_eq!(of(socket, &[client, (proto, "https")]), None);
            assert_eq!(of(socket, &[client, (proto, "HTTPS")]), None);
            assert_eq!(of(socket, &[client, (proto, "wss")]), None);
            assert_eq!(of(socket, &[client, (proto, "https, http")]), None);
            assert_eq!(of(socket, &[client, (proto, "http")]), Some(Proxied));
            assert_eq!(of(socket, &[client, (proto, "httpsx")]), Some(Proxied));
            assert_eq!(of(socket, &[client]), Some(Unsaid));
            assert_eq!(of(socket, &[(from, "127.0.0.1"), (proto, "http")]), None);
        }
        assert_eq!(Exposure::of(&HeaderMap::new(), &Extensions::new(), &proxies), None);
    }

    #[test]
    fn auth_of_nothing_is_no_credentials() {
        for nothing in ["", "null", "{}", " { } "] {
            assert!(!says_something(nothing), "{nothing}");
        }
        for something in [r#"{"token":"x"}"#, "\"x\"", "[]", "0"] {
            assert!(says_something(something), "{something}");
        }
    }
}
