//! What a client showed when it connected.

use std::net::IpAddr;

use axum::http::{HeaderMap, Uri, request::Parts};

use super::{exposure::Exposure, origin::Proxies};
use crate::ClientId;

/// The HTTP request that opened a connection.
///
/// Where any origin may connect, which is the default, cookies are not here: a page of any origin
/// may open a connection, and a browser adds the user's cookies to it unasked, so that they prove
/// who owns the browser, not who wrote the page. See [`Cors`](crate::Cors).
#[derive(Clone, Debug)]
pub struct Handshake {
    client_id: ClientId,
    uri: Uri,
    headers: HeaderMap,
    address: Option<IpAddr>,
    exposure: Option<Exposure>,
}

impl Handshake {
    pub(crate) fn new(client_id: ClientId, request: &Parts, proxies: &Proxies) -> Self {
        Self {
            client_id,
            uri: request.uri.clone(),
            headers: request.headers.clone(),
            address: proxies.client(&request.headers, &request.extensions),
            exposure: Exposure::of(&request.headers, &request.extensions, proxies),
        }
    }

    /// The id of the connection.
    pub fn client_id(&self) -> ClientId {
        self.client_id
    }

    /// Path and query of the request.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The hash of the [`Contract`](crate::Contract) that the client was built with, if it says so:
    /// `contract` in the query.
    pub fn contract(&self) -> Option<&str> {
        let mut parameters = self.uri.query()?.split('&');
        parameters.find_map(|parameter| parameter.strip_prefix("contract="))
    }

    /// The request's headers; without cookies, where any origin may connect.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The client's address: the other end of the socket or, where that is one of the
    /// [proxies](crate::Builder::proxies) that the app trusts, what they say in `X-Forwarded-For`.
    /// None where the router is served without
    /// [`into_make_service_with_connect_info`](axum::Router::into_make_service_with_connect_info).
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// How what the client sends can be read by others, if it can.
    pub(crate) fn exposure(&self) -> Option<Exposure> {
        self.exposure
    }
}
