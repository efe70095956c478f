//! A server behind TLS, whose certificate is of a private authority.

use std::{net::SocketAddr, sync::Arc};

use dialogue_client::{
    Builder, Client, ConnectError, State,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer},
    },
};
use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    app::{Login, Tick, square},
    server::{Server, soon, swiftly},
};

/// What ends TLS in front of a server.
struct Terminator {
    address: SocketAddr,
    authority: CertificateDer<'static>,
    accepting: JoinHandle<()>,
}

impl Terminator {
    /// Says that it is `localhost`.
    async fn to(target: SocketAddr) -> Self {
        let (authority, config) = certify("localhost");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let accepting = tokio::spawn(async move {
            loop {
                let (client, _) = tcp.accept().await.unwrap();
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut client) = acceptor.accept(client).await else { return };
                    let mut server = TcpStream::connect(target).await.unwrap();
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self { address, authority, accepting }
    }

    fn client(&self, host: &str) -> Builder {
        let login = || async { Login { user: "ann".into(), lasts: None } };
        let url = format!("wss://{host}:{}", self.address.port());
        Client::builder(url).auth(login).reconnect(swiftly())
    }

    /// Trusts its authority alone.
    fn trust(&self) -> ClientConfig {
        trusting(&self.authority)
    }
}

impl Drop for Terminator {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// An authority, and what it certifies of a host: a certificate and its key.
pub fn issue(host: &str) -> (CertificateDer<'static>, Certificate, KeyPair) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap().der().clone();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([host.to_owned()]).unwrap();
    (authority, params.signed_by(&key, &issuer).unwrap(), key)
}

/// The same, as a server in this process needs it.
fn certify(host: &str) -> (CertificateDer<'static>, ServerConfig) {
    let (authority, certificate, key) = issue(host);
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth();
    (authority, config.with_single_cert(vec![certificate.der().clone()], key).unwrap())
}

/// Trusts an authority alone.
pub fn trusting(authority: &CertificateDer<'static>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone()).unwrap();
    ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
}

#[tokio::test]
async fn a_client_that_trusts_a_private_authority_talks_to_its_server() {
    let server = Server::start().await;
    let terminator = Terminator::to(server.proxy.address()).await;
    let ann = terminator.client("localhost").tls(terminator.trust()).connect().await.unwrap();
    let square = ann.join(square::Room).await.unwrap();
    let mut ticks = square.on::<Tick>();
    // Longer than a record of TLS.
    let receipt = square.trigger(Tick { by: "ann".into(), n: 1 }).meta("why", "x".repeat(3_000));
    assert_eq!(receipt.await.unwrap().at.unwrap().seq, 1);
    let tick = soon(ticks.next()).await.unwrap();
    assert_eq!((tick.data.n, &*tick.from), (1, "ann"));
    // And again, on another connection.
    server.proxy.cut();
    soon(ann.states().wait_for(|state| *state == State::Reconnecting)).await.unwrap();
    square.trigger(Tick { by: "ann".into(), n: 2 }).await.unwrap();
    assert_eq!(soon(ticks.next()).await.unwrap().data.n, 2);
    ann.close().await;
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_is_not_talked_to() {
    let server = Server::start().await;
    let terminator = Terminator::to(server.address).await;
    let unknown = terminator.client("localhost").connect().await.unwrap_err();
    assert!(matches!(unknown, ConnectError::Transport(_)), "{unknown:?}");
    assert!(unknown.to_string().contains("UnknownIssuer"), "{unknown}");
    let elsewhere = terminator.client("127.0.0.1").tls(terminator.trust());
    let elsewhere = elsewhere.connect().await.unwrap_err();
    assert!(elsewhere.to_string().contains("not valid for name"), "{elsewhere}");
}
