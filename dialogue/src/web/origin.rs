//! Who may connect: pages of which origins, and from which addresses.

use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use axum::{
    extract::ConnectInfo,
    http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Uri, header, uri::Authority},
};
use ipnet::IpNet;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::{Error, connection::refusals::Source};

/// Which pages may connect, and read the answers of routes under
/// [`Dialogue::cors`](crate::Dialogue::cors).
///
/// ```
/// use dialogue::Cors;
///
/// let anybody = Cors::any();                                  // the default
/// let own = Cors::origins(["https://myapp.com", "https://admin.myapp.com"]);
/// let same = Cors::same_origin();                             // pages of this very server
/// let read_only = Cors::origins(["https://myapp.com"]).methods(["GET"]).credentials(false);
/// ```
///
/// With [`Cors::any`], cookies reach no hook, nor does `Authorization` from a page, and browsers are
/// told to send neither: a foreign page must not ride on a session. Otherwise, a request with the `Origin` of another page is answered
/// 403, on upgrade and polling alike. A request without `Origin` is no page's, and passes: whoever
/// writes it by hand could write any.
#[derive(Clone, Debug)]
#[must_use = "it does nothing until `Builder::cors` takes it"]
pub struct Cors {
    origins: Origins,
    methods: Vec<String>,
    credentials: bool,
}

#[derive(Clone, Debug)]
enum Origins {
    Any,
    Same,
    Listed(Vec<String>),
}

impl Cors {
    /// Pages of any origin, without cookies.
    pub fn any() -> Self {
        Self::of(Origins::Any, false)
    }

    /// Pages that this server itself serves: `http` or `https`, with the host and the port that the
    /// request's `Host` names. For requests of the [proxies](crate::Builder::proxies) that the app trusts,
    /// `X-Forwarded-Host` counts instead, where it is there; a list of hosts in it is refused. Both schemes pass, since a server behind a proxy does not know which one
    /// the page has. With cookies unless [`credentials`](Cors::credentials) says otherwise.
    pub fn same_origin() -> Self {
        Self::of(Origins::Same, true)
    }

    /// Pages of these origins, such as `https://myapp.com`, with cookies unless
    /// [`credentials`](Cors::credentials) says otherwise. What is no origin is told when the server
    /// is built.
    pub fn origins(origins: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::of(Origins::Listed(origins.into_iter().map(Into::into).collect()), true)
    }

    fn of(origins: Origins, credentials: bool) -> Self {
        let methods = ["GET", "POST"].map(str::to_owned).to_vec();
        Self { origins, methods, credentials }
    }

    /// Which methods a page of another origin may use. Default: `GET` and `POST`, which is what
    /// the connection itself needs.
    pub fn methods(mut self, methods: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.methods = methods.into_iter().map(Into::into).collect();
        self
    }

    /// Whether cookies count: browsers are told to send them along, and hooks see them. Has no
    /// effect with [`Cors::any`].
    pub fn credentials(mut self, credentials: bool) -> Self {
        self.credentials = credentials;
        self
    }

    pub(crate) fn build(self) -> Result<Gate, Error> {
        let invalid = |what: &str, text: &str| Error::Cors(format!("invalid {what} {text:?}"));
        let methods = self.methods.iter().map(|method| match Method::from_str(method) {
            // `*` would stand for all, but not where cookies count.
            Ok(method) if method.as_str() != "*" => Ok(method),
            _ => Err(invalid("HTTP method", method)),
        });
        let methods: Vec<Method> = methods.collect::<Result<_, _>>()?;
        let origins = match self.origins {
            Origins::Any => Allowed::Any,
            Origins::Same => Allowed::Same,
            Origins::Listed(origins) => {
                let origins = origins.iter().map(|origin| {
                    parse_origin(origin).ok_or_else(|| {
                        invalid(
                            "origin: one is a scheme and a host, like `https://myapp.com`",
                            origin,
                        )
                    })
                });
                Allowed::Listed(origins.collect::<Result<_, _>>()?)
            }
        };
        let credentials = self.credentials && !matches!(origins, Allowed::Any);
        let allowed = match &origins {
            Allowed::Any => AllowOrigin::any(),
            // A page of the same origin needs no leave.
            Allowed::Same => AllowOrigin::list([]),
            Allowed::Listed(origins) => AllowOrigin::list(origins.iter().cloned()),
        };
        let layer = CorsLayer::new()
            .allow_origin(allowed)
            .allow_methods(methods)
            .allow_headers(AllowHeaders::mirror_request())
            .expose_headers([header::RETRY_AFTER])
            .allow_credentials(credentials);
        Ok(Gate { origins, cookies: credentials, layer })
    }
}

impl Default for Cors {
    fn default() -> Self {
        Self::any()
    }
}

/// An origin as browsers write it: scheme, host, and a port that is not the scheme's own.
fn parse_origin(text: &str) -> Option<HeaderValue> {
    let uri: Uri = text.parse().ok()?;
    let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
    let lower = text.to_ascii_lowercase();
    let bare =
        lower.strip_prefix(scheme)?.strip_prefix("://")? == authority.as_str().to_ascii_lowercase();
    let userless = !authority.as_str().contains('@');
    // Browsers leave a scheme's own port out.
    let own_port =
        matches!((scheme, authority.port_u16()), ("http", Some(80)) | ("https", Some(443)));
    (bare && userless && !own_port).then(|| HeaderValue::from_str(&lower).ok()).flatten()
}

enum Allowed {
    Any,
    Same,
    Listed(Vec<HeaderValue>),
}

/// What the endpoint lets in.
pub(crate) struct Gate {
    origins: Allowed,
    /// Whether hooks see cookies.
    pub(crate) cookies: bool,
    /// The headers that tell browsers.
    pub(crate) layer: CorsLayer,
}

impl Gate {
    /// Checks whether the page that a request comes from may connect. `proxied` says whether a trusted proxy
    /// sent the request.
    pub(crate) fn admits(
        &self,
        headers: &HeaderMap,
        uri: &Uri,
        proxied: bool,
    ) -> Result<(), Foreign> {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let Some(origin) = origins.next() else { return Ok(()) };
        if origins.next().is_some() {
            return Err(Foreign::Other);
        }
        match &self.origins {
            Allowed::Any => Ok(()),
            Allowed::Listed(allowed) if allowed.contains(origin) => Ok(()),
            Allowed::Listed(_) => Err(Foreign::Other),
            Allowed::Same => {
                let (host, by) = requested_host(headers, uri, proxied);
                let same = host.as_ref().is_some_and(|host| is_of(origin, host));
                if same { Ok(()) } else { Err(Foreign::Host { host, by }) }
            }
        }
    }

    /// Whether only pages of the server's own host may connect.
    pub(crate) fn is_same_origin(&self) -> bool {
        matches!(self.origins, Allowed::Same)
    }
}

/// Why a page may not connect.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum Foreign {
    #[error("pages of this origin may not connect")]
    Other,
    #[error("pages of this origin may not connect: {}", compared(host.as_ref(), by))]
    Host {
        /// What the request is for.
        host: Option<Authority>,
        /// What says so.
        by: &'static str,
    },
}

fn compared(host: Option<&Authority>, by: &str) -> String {
    match host {
        Some(host) => format!("the server's host is `{}{}` by `{by}`", host.host(), port(host)),
        None => format!("`{by}` does not name one host"),
    }
}

fn port(host: &Authority) -> String {
    host.port_u16().map_or_else(String::new, |port| format!(":{port}"))
}

/// The host that a request is for, and which header says so. A proxy that a client cannot bypass may have
/// written its own into `Host`, and the client's into `X-Forwarded-Host`. A page cannot set either header of
/// the requests that matter here: its browser asks for leave first, which another origin does not get.
fn requested_host(
    headers: &HeaderMap,
    uri: &Uri,
    proxied: bool,
) -> (Option<Authority>, &'static str) {
    let forwarded = proxied && headers.contains_key(FORWARDED_HOST);
    let (name, by) =
        if forwarded { (FORWARDED_HOST, "X-Forwarded-Host") } else { (header::HOST, "Host") };
    let mut hosts = headers.get_all(name).iter();
    let host = match (hosts.next(), hosts.next()) {
        // Two hosts are no host, and neither is a list: a proxy may have checked one, and mean the other.
        (Some(_), Some(_)) => None,
        (Some(host), None) => {
            let one = host.to_str().ok().filter(|host| !host.contains([',', '@']));
            one.and_then(|host| host.parse().ok())
        }
        (None, _) => uri.authority().cloned(),
    };
    (host, by)
}

/// Whether a page comes from a host, over HTTP or HTTPS.
fn is_of(origin: &HeaderValue, host: &Authority) -> bool {
    let page = origin.to_str().ok().filter(|origin| parse_origin(origin).is_some());
    let Some(page) = page.and_then(|origin| origin.parse::<Uri>().ok()) else { return false };
    let own_port = match page.scheme_str() {
        Some("http") => 80,
        Some("https") => 443,
        // Pages of extensions and files are of no server.
        _ => return false,
    };
    let page_port = page.port_u16().unwrap_or(own_port);
    // A host without a port is at the scheme's own: which scheme, a proxy in front may decide.
    let host_port = host.port_u16().unwrap_or(own_port);
    let same_host = page.host().is_some_and(|page| page.eq_ignore_ascii_case(host.host()));
    same_host && page_port == host_port
}

/// Whose word on a client's address is taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies(Vec<IpNet>);

impl Proxies {
    pub(crate) fn parse(proxies: &[String]) -> Result<Self, Error> {
        let parse = |text: &String| {
            let net = text.parse().or_else(|_| text.parse().map(|address: IpAddr| address.into()));
            net.map_err(|_| Error::Proxy(text.clone()))
        };
        proxies.iter().map(parse).collect::<Result<_, _>>().map(Self)
    }

    /// The client's address: from the socket or, where that is a trusted proxy's, the last address
    /// in `X-Forwarded-For` that no trusted proxy has.
    pub(crate) fn client(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        let ConnectInfo(socket) = extensions.get::<ConnectInfo<SocketAddr>>()?;
        let socket = socket.ip().to_canonical();
        if !self.trust(socket) {
            return Some(socket);
        }
        let headers = headers.get_all(FORWARDED_FOR).iter();
        let hops = headers.flat_map(|header| header.as_bytes().split(|byte| *byte == b','));
        let hops: Vec<&[u8]> = hops.collect();
        let mut client = socket;
        for hop in hops.into_iter().rev() {
            // Beyond what is no address, nothing is understood.
            let Some(address) = address(hop) else { break };
            client = address;
            if !self.trust(address) {
                break;
            }
        }
        Some(client)
    }

    /// Where a request comes from.
    pub(crate) fn source(&self, headers: &HeaderMap, extensions: &Extensions) -> Source {
        Source {
            address: self.client(headers, extensions),
            forwarded: !self.sent(extensions) && headers.contains_key(FORWARDED_FOR),
        }
    }

    /// Whether a trusted proxy sent a request.
    pub(crate) fn sent(&self, extensions: &Extensions) -> bool {
        let socket = extensions.get::<ConnectInfo<SocketAddr>>();
        socket.is_some_and(|ConnectInfo(socket)| self.trust(socket.ip().to_canonical()))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn trust(&self, address: IpAddr) -> bool {
        self.0.iter().any(|net| net.contains(&address))
    }
}

const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// An address, with or without a port.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text).ok()?.trim();
    let address = text.parse().or_else(|_| text.parse().map(|socket: SocketAddr| socket.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_an_origin_is_an_origin() {
        for origin in ["https://myapp.com", "http://localhost:5173", "https://MyApp.com"] {
            assert!(parse_origin(origin).is_some(), "{origin}");
        }
        for text in [
            "myapp.com",
            "https://myapp.com/",
            "https://myapp.com:443",
            "http://myapp.com:80",
            "https://a@b.com",
            "*",
            "",
            "https://a/b",
        ] {
            assert!(Cors::origins([text]).build().is_err(), "{text}");
        }
    }

    #[test]
    fn a_gate_admits_its_origins_and_what_is_no_page() {
        let listed = Cors::origins(["https://myapp.com"]).build().unwrap();
        let same = Cors::same_origin().build().unwrap();
        let any = Cors::any().build().unwrap();
        let uri = Uri::from_static("/socket.io/");
        for (origin, to_listed, to_same) in [
            (&["https://myapp.com"][..], true, false),
            (&["https://myapp.com.evil.org"], false, false),
            (&["https://myapp.com:8443"], false, false),
            (&["http://myapp.com"], false, false),
            (&["https://chat.org"], false, true),
            (&["null"], false, false),
            (&["https://myapp.com", "https://evil.org"], false, false),
            (&[], true, true),
        ] {
            let mut headers = headers(&header::ORIGIN, origin);
            headers.insert(header::HOST, HeaderValue::from_static("chat.org"));
            let admits = |gate: &Gate| gate.admits(&headers, &uri, false).is_ok();
            assert_eq!(admits(&listed), to_listed, "{origin:?}");
            assert_eq!(admits(&same), to_same, "{origin:?}");
            assert_eq!(admits(&any), origin.len() < 2, "{origin:?}");
        }
        assert!(listed.cookies && same.cookies && !any.cookies);
    }

    #[test]
    fn same_origin_of_another_scheme_host_or_port_is_refused() {
        let same = Cors::same_origin().build().unwrap();
        let admits = |origin: &str, hosts: &[&str]| {
            let mut headers = headers(&header::HOST, hosts);
            headers.insert(header::ORIGIN, origin.parse().unwrap());
            same.admits(&headers, &Uri::from_static("/socket.io/"), false).is_ok()
        };
        for (origin, host) in [
            ("http://chat.org", "chat.org"),
            ("https://chat.org", "chat.org"),
            ("https://chat.org", "Chat.org"),
            // A proxy may write the port that browsers leave out.
            ("https://chat.org", "chat.org:443"),
            ("http://chat.org", "chat.org:80"),
            ("http://chat.org:8080", "chat.org:8080"),
            ("http://[::1]:3000", "[::1]:3000"),
        ] {
            assert!(admits(origin, &[host]), "{origin} of {host}");
        }
        for (origin, host) in [
            ("ftp://chat.org", "chat.org"),
            ("chrome-extension://chat.org", "chat.org"),
            ("file://", ""),
            ("://chat.org", "chat.org"),
            ("https://evil.org", "chat.org"),
            ("https://chat.org.evil.org", "chat.org"),
            ("https://evil@chat.org", "evil@chat.org"),
            ("https://chat.org/path", "chat.org/path"),
            ("https://chat.org:8443", "chat.org"),
            ("https://chat.org", "chat.org:8443"),
            ("https://chat.org", "chat.org:80"),
            ("http://chat.org", "chat.org:443"),
            ("null", "null"),
        ] {
            assert!(!admits(origin, &[host]), "{origin} of {host}");
        }
        assert!(!admits("https://chat.org", &["chat.org", "evil.org"]));
        assert!(!admits("https://chat.org", &[]));
        // HTTP/2 has no `Host`, but the whole address.
        let headers = headers(&header::ORIGIN, &["https://chat.org"]);
        let admits = |uri| same.admits(&headers, &Uri::from_static(uri), false).is_ok();
        assert!(admits("https://chat.org/socket.io/"));
        assert!(!admits("https://evil.org/socket.io/"));
    }

    #[test]
    fn forwarded_host_counts_where_a_trusted_proxy_sends_exactly_one() {
        let same = Cors::same_origin().build().unwrap();
        let admits = |forwarded: &[&str], proxied| {
            let mut headers = headers(&FORWARDED_HOST, forwarded);
            headers.insert(header::ORIGIN, HeaderValue::from_static("https://chat.org"));
            headers.insert(header::HOST, HeaderValue::from_static("10.0.0.1:3000"));
            let admitted = same.admits(&headers, &Uri::from_static("/socket.io/"), proxied);
            admitted.map_err(|foreign| foreign.to_string())
        };
        assert_eq!(admits(&["chat.org"], true), Ok(()));
        assert_eq!(admits(&["chat.org:443"], true), Ok(()));
        for (forwarded, proxied, compared) in [
            (&["chat.org"][..], false, "`10.0.0.1:3000` by `Host`"),
            (&[], true, "`10.0.0.1:3000` by `Host`"),
            (&["evil.org"], true, "`evil.org` by `X-Forwarded-Host`"),
            (&["chat.org, chat.org"], true, "`X-Forwarded-Host` does not name one host"),
            (&["chat.org,chat.org"], true, "`X-Forwarded-Host` does not name one host"),
            (&["evil@chat.org"], true, "`X-Forwarded-Host` does not name one host"),
            (&["chat.org", "chat.org"], true, "`X-Forwarded-Host` does not name one host"),
            (&[""], true, "`X-Forwarded-Host` does not name one host"),
        ] {
            let refused = admits(forwarded, proxied).unwrap_err();
            assert!(refused.contains(compared), "{forwarded:?}: {refused}");
        }
    }

    #[test]
    fn an_address_is_what_trusted_proxies_say() {
        let client = |socket: &str, forwarded: &[&str]| {
            let proxies = ["10.0.0.0/8".to_owned(), "::1".to_owned()];
            let proxies = Proxies::parse(&proxies).unwrap();
            let mut extensions = Extensions::new();
            extensions.insert(ConnectInfo(SocketAddr::new(socket.parse().unwrap(), 1)));
            proxies.client(&headers(&FORWARDED_FOR, forwarded), &extensions).unwrap().to_string()
        };
        // A client can write any header.
        assert_eq!(client("203.0.113.7", &["1.2.3.4"]), "203.0.113.7");
        assert_eq!(client("10.0.0.1", &["1.2.3.4"]), "1.2.3.4");
        assert_eq!(client("::ffff:10.0.0.1", &["1.2.3.4:5678"]), "1.2.3.4");
        assert_eq!(client("10.0.0.1", &["6.6.6.6, 1.2.3.4, 10.0.0.2"]), "1.2.3.4");
        assert_eq!(client("::1", &["6.6.6.6", "[2001:db8::1]:443"]), "2001:db8::1");
        assert_eq!(client("10.0.0.1", &["6.6.6.6, nonsense"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
        // What a client makes up does not hide what the proxy adds.
        let mut spoilt = HeaderMap::new();
        let line = HeaderValue::from_bytes(b"\xff, 203.0.113.9").unwrap();
        spoilt.insert(FORWARDED_FOR, line);
        let proxies = Proxies::parse(&["10.0.0.1".to_owned()]).unwrap();
        let mut extensions = Extensions::new();
        extensions.insert(ConnectInfo(SocketAddr::from(([10, 0, 0, 1], 1))));
        let client = proxies.client(&spoilt, &extensions).unwrap();
        assert_eq!(client.to_string(), "203.0.113.9");
        assert!(Proxies::parse(&["proxy.local".to_owned()]).is_err());
    }
}
