//! How servers prove who they are.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, crypto::ring};

/// With Mozilla's roots, and without a certificate of the client's own.
pub(crate) fn default() -> Arc<ClientConfig> {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.into() };
    // Named, as an app may have another one besides.
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has the versions that rustls asks for");
    Arc::new(config.with_root_certificates(roots).with_no_client_auth())
}
