//! What a client showed when it connected.

use std::net::SocketAddr;

use axum::{
    extract::ConnectInfo,
    http::{HeaderMap, Uri, header, request::Parts},
};

use super::ClientId;

/// The HTTP request that opened a connection.
///
/// A page of any origin may open one, and a browser adds the user's cookies to it unasked, so
/// cookies are not here: they would prove who owns the browser, not who wrote the page.
#[derive(Clone, Debug)]
pub struct Handshake {
    client_id: ClientId,
    uri: Uri,
    headers: HeaderMap,
    address: Option<SocketAddr>,
}

impl Handshake {
    pub(crate) fn new(client_id: ClientId, request: &Parts) -> Self {
        let mut headers = request.headers.clone();
        headers.remove(header::COOKIE);
        let address = request.extensions.get().map(|ConnectInfo(address)| *address);
        Self { client_id, uri: request.uri.clone(), headers, address }
    }

    /// The id of the connection that is being opened.
    pub fn client_id(&self) -> ClientId {
        self.client_id
    }

    /// Path and query of the request.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The request's headers, without cookies.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The address of the other end of the socket. None where the router is served without
    /// [`into_make_service_with_connect_info`](axum::Router::into_make_service_with_connect_info).
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }
}
