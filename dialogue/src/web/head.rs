//! The heads of requests that stay for as long as their connection.

use axum::{
    body::Bytes,
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, Uri, header},
};

/// How many bytes a head has, about.
pub(crate) fn size(request: &Request) -> usize {
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| name.as_str().len() + value.len() + 4);
    let uri = request.uri();
    uri.path().len() + uri.query().map_or(0, str::len) + headers.sum::<usize>()
}

/// Copies a head: as it was read, it is slices of the connection's read buffer, which would stay as
/// long as the head does.
pub(crate) fn copy(request: &mut Request) {
    let uri = request.uri();
    // What was parsed is parsed again; if not, it stays as it is.
    if let Ok(copy) = Uri::try_from(uri.to_string()) {
        *request.uri_mut() = copy;
    }
    let headers = request.headers();
    let mut text = Vec::with_capacity(headers.values().map(HeaderValue::len).sum());
    for value in headers.values() {
        text.extend_from_slice(value.as_bytes());
    }
    // One allocation for all of them.
    let text = Bytes::from(text);
    let mut copies = HeaderMap::with_capacity(headers.keys_len());
    let mut end = 0;
    for (name, value) in headers {
        let start = end;
        end += value.len();
        let name = HeaderName::from_bytes(name.as_str().as_bytes()).ok();
        let value = HeaderValue::from_maybe_shared(text.slice(start..end)).ok();
        if let Some((name, value)) = name.zip(value) {
            copies.append(name, value);
        }
    }
    *request.headers_mut() = copies;
}

/// Maximum length of a header of a request of a session.
const MAX_SHORT: usize = 256;

/// Keeps what a session's transport reads of a request, and copies it. The session has the head of the request
/// that opened it.
pub(crate) fn shorten(request: &mut Request) {
    const READ: [HeaderName; 6] = [
        header::CONTENT_TYPE,
        header::CONTENT_LENGTH,
        header::CONNECTION,
        header::UPGRADE,
        header::SEC_WEBSOCKET_KEY,
        header::SEC_WEBSOCKET_VERSION,
    ];
    let headers = request.headers();
    let read = READ.into_iter().filter_map(|name| headers.get(&name).map(|value| (name, value)));
    let read = read.filter(|(_, value)| value.len() <= MAX_SHORT);
    let read = read.map(|(name, value)| (name, value.clone())).collect();
    *request.headers_mut() = read;
    copy(request);
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn copy_of_a_head_is_equal_and_shares_nothing() {
        let read = Bytes::from(b"bearer token, another, x".to_vec());
        let value = |range| HeaderValue::from_maybe_shared(read.slice(range)).unwrap();
        let mut request = Request::builder()
            .uri("/socket.io/?EIO=4&transport=polling")
            .header("authorization", value(0..12))
            .header("x-own", value(14..21))
            .header("x-own", value(23..24))
            .body(Body::empty())
            .unwrap();
        let (uri, headers) = (request.uri().clone(), request.headers().clone());
        copy(&mut request);
        assert_eq!((request.uri(), request.headers()), (&uri, &headers));
        let inside = |part: &[u8]| read.as_ptr_range().contains(&part.as_ptr());
        assert!(headers.values().all(|value| inside(value.as_bytes())));
        assert!(!request.headers().values().any(|value| inside(value.as_bytes())));
        assert_eq!(size(&request), 11 + 23 + 13 + 12 + 4 + 5 + 7 + 4 + 5 + 1 + 4);
    }
}
