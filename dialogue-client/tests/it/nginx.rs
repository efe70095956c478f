//! A server behind nginx, as the page on TLS sets it up.

use std::{
    env, fs, iter,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use dialogue::Dialogue;
use dialogue_client::{Client, rustls::pki_types::CertificateDer};
use tokio::net::{TcpListener, TcpStream};

use crate::{
    app::{Login, Tick, Town, square},
    server::{limits, soon, swiftly},
    skipped::skipped,
    tls::{issue, trusting},
};

/// nginx with the configuration that the page shows, but for names, places and ports.
struct Nginx {
    port: u16,
    authority: CertificateDer<'static>,
    process: Child,
    _folder: tempfile::TempDir,
}

impl Nginx {
    /// In front of a server; `None` where there is no nginx.
    async fn before(server: SocketAddr) -> Option<Self> {
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = iter::once(PathBuf::from("/usr/sbin")).chain(env::split_paths(&path));
        let program = folders.map(|folder| folder.join("nginx")).find(|path| path.is_file())?;
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().to_str().unwrap();
        let (authority, certificate, key) = issue("localhost");
        fs::write(folder.path().join("cert.pem"), certificate.pem()).unwrap();
        fs::write(folder.path().join("key.pem"), key.serialize_pem()).unwrap();
        let [port, plain] = [free_port().await, free_port().await];
        let page = include_str!("../../../docs/tls.md");
        let shown = page.split("```nginx\n").nth(1).unwrap().split("```").next().unwrap();
        let mut shown = shown.to_owned();
        for (there, here) in [
            ("listen 443 ssl", format!("listen 127.0.0.1:{port} ssl")),
            ("listen 80", format!("listen 127.0.0.1:{plain}")),
            ("/etc/ssl/chat.example.com.pem", format!("{place}/cert.pem")),
            ("/etc/ssl/chat.example.com.key", format!("{place}/key.pem")),
            ("http://127.0.0.1:3000", format!("http://{server}")),
        ] {
            assert_eq!(shown.matches(there).count(), 1, "{there}");
            shown = shown.replace(there, &here);
        }
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary =
            temporary.map(|kind| format!("{kind}_temp_path {place}/{kind};\n")).concat();
        let whole = format!(
            "daemon off; pid {place}/pid; error_log stderr; events {{}}\n\
             http {{ access_log off; {temporary} {shown} }}"
        );
        fs::write(folder.path().join("nginx.conf"), whole).unwrap();
        let mut nginx = Command::new(program);
        nginx.args(["-e", "stderr", "-c"]).arg(folder.path().join("nginx.conf"));
        let process = nginx.stderr(Stdio::null()).spawn().unwrap();
        let nginx = Self { port, authority, process, _folder: folder };
        // It says nowhere that it is ready.
        soon(async {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        })
        .await;
        Some(nginx)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Asked to, its workers end, too.
        let pid = self.process.id().to_string();
        let _ = Command::new("kill").arg(pid).status();
        let _ = self.process.wait();
    }
}

async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn server_behind_nginx_as_documented_serves_clients_over_tls() {
    let chat = Dialogue::builder(Town::default()).limits(limits()).proxies(["127.0.0.1"]);
    let chat = chat.build().await.unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let served = chat.clone();
    let serving = tokio::spawn(async move { served.serve_on(tcp, axum::Router::new()).await });
    let Some(nginx) = Nginx::before(address).await else {
        serving.abort();
        return skipped("there is no nginx");
    };
    let login = || async { Login { user: "ann".into(), lasts: None } };
    let client = Client::builder(format!("wss://localhost:{}", nginx.port)).auth(login);
    let client = client.reconnect(swiftly()).tls(trusting(&nginx.authority));
    let ann = client.connect().await.unwrap();
    let square = ann.join(square::Room).await.unwrap();
    let mut ticks = square.on::<Tick>();
    square.trigger(Tick { by: "ann".into(), n: 1 }).await.unwrap();
    assert_eq!(soon(ticks.next()).await.unwrap().data.n, 1);
    let handshake = chat.clients_of("ann")[0].handshake();
    let header = |name: &str| handshake.headers().get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!(header("x-forwarded-proto"), "https");
    for host in ["host", "x-forwarded-host"] {
        assert_eq!(header(host), format!("localhost:{}", nginx.port));
    }
    assert_eq!(handshake.address(), Some(IpAddr::from([127, 0, 0, 1])));
    ann.close().await;
    serving.abort();
}
