//! Who a client is, for how long, and how it stays so.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use dialogue::{
    App, Client, Deny, DisconnectReason, Event, Handshake, Identity,
    auth::{Anonymous, JwtClaims, JwtError, JwtKeyError, JwtVerifier, Token},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::{
    lobby::Lobby,
    peer::{Incoming, Peer},
    server::Server,
};

const SECRET: &str = "a secret that is long enough to be one";

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Ping;

#[dialogue::room("members", app = Vault, events(Ping))]
mod members {
    use super::*;

    #[before_join]
    async fn vip(_: &dialogue::Context<Vault, Room>, client: &Client<Vault>) -> Result<(), Deny> {
        let identity = client.identity();
        if identity.other.get("role") == Some(&json!("vip")) {
            Ok(())
        } else {
            Err(Deny::new("VIP access required"))
        }
    }
}

/// An app that lets in who has a token.
struct Vault {
    jwt: JwtVerifier<JwtClaims>,
    gone: mpsc::UnboundedSender<DisconnectReason>,
}

#[dialogue::app(rooms(members))]
impl App for Vault {
    type Credentials = Token;
    type Identity = JwtClaims;

    async fn authenticate(&self, login: Token, _: &Handshake) -> Result<JwtClaims, Deny> {
        self.jwt.verify(login.as_str()).map_err(Deny::from)
    }

    async fn disconnected(&self, _: &Client<Self>, reason: DisconnectReason) {
        let _ = self.gone.send(reason);
    }
}

async fn vault() -> (Server<Vault>, mpsc::UnboundedReceiver<DisconnectReason>) {
    let jwt = JwtVerifier::hmac(SECRET).unwrap().issuer("id.example.com").audience("vault");
    let (gone, reasons) = mpsc::unbounded_channel();
    (Server::start(Vault { jwt, gone }).await, reasons)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Claims that suit the vault, with some of them changed.
fn claims(changes: &Value) -> Value {
    let mut claims =
        json!({ "sub": "ann", "exp": now() + 60, "iss": "id.example.com", "aud": "vault" });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

fn signed(claims: &Value, secret: &str) -> String {
    encode(&Header::default(), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

fn auth(claims: &Value) -> String {
    json!({ "token": signed(claims, SECRET), "userId": "mallory", "role": "vip" }).to_string()
}

#[tokio::test]
async fn a_token_proves_who_a_client_is_and_nothing_else_does() {
    let (server, _) = vault().await;
    let mut ann = Peer::connect(server.address, &auth(&claims(&json!({})))).await.unwrap();
    // What stands beside the token counts for nothing.
    assert_eq!(ann.user_id, "ann");
    let refused = ann.join("members").await;
    assert_eq!(
        (&refused["code"], &refused["message"]),
        (&json!("JOIN_DENIED"), &json!("VIP access required"))
    );
    let vip = auth(&claims(&json!({ "sub": "bob", "role": "vip" })));
    let mut bob = Peer::connect(server.address, &vip).await.unwrap();
    assert_eq!(bob.join("members").await["ok"], true);

    for (auth, code, message) in [
        (auth(&claims(&json!({ "exp": now() - 1 }))), "TOKEN_EXPIRED", "the token has expired"),
        (
            auth(&claims(&json!({ "nbf": now() + 60 }))),
            "UNAUTHENTICATED",
            "the token is not valid yet",
        ),
        (
            auth(&claims(&json!({ "iss": "evil.example.com" }))),
            "UNAUTHENTICATED",
            "the token is of another issuer",
        ),
        (
            auth(&claims(&json!({ "aud": "shop" }))),
            "UNAUTHENTICATED",
            "the token is for another audience",
        ),
        (
            auth(&claims(&json!({ "exp": null }))),
            "UNAUTHENTICATED",
            "the token's claims do not have the expected shape",
        ),
        (
            auth(&claims(&json!({ "sub": 7 }))),
            "UNAUTHENTICATED",
            "the token's claims do not have the expected shape",
        ),
        (
            auth(&claims(&json!({ "sub": "system" }))),
            "UNAUTHENTICATED",
            "a user id has 1 to 256 bytes of visible characters in Unicode's form NFC, and single \
             spaces of ASCII between them, and does not look like `system`",
        ),
        (
            json!({ "token": signed(&claims(&json!({})), "another secret that is long enough!") })
                .to_string(),
            "UNAUTHENTICATED",
            "the token is invalid",
        ),
        (
            json!({ "token": "no.token.at-all" }).to_string(),
            "UNAUTHENTICATED",
            "the token is invalid",
        ),
        (
            json!({ "token": 1 }).to_string(),
            "UNAUTHENTICATED",
            "the credentials do not have the expected shape",
        ),
        (String::new(), "UNAUTHENTICATED", "the credentials do not have the expected shape"),
    ] {
        let refused = Peer::connect(server.address, &auth).await.map(drop).unwrap_err();
        assert_eq!(refused, json!({ "code": code, "message": message }), "{auth}");
    }
}

#[test]
fn a_token_does_not_choose_its_algorithm() {
    let claims = json!({ "sub": "ann", "exp": now() + 60 });
    let rsa = JwtVerifier::<JwtClaims>::rsa(include_str!("keys/rsa.pub.pem")).unwrap();
    // The public key, which everybody has, as a secret.
    let public = EncodingKey::from_secret(include_bytes!("keys/rsa.pub.pem"));
    let confused = encode(&Header::default(), &claims, &public).unwrap();
    assert_eq!(rsa.verify(&confused), Err(JwtError::Invalid));
    // {"alg":"none"}
    let (_, rest) = confused.split_once('.').unwrap();
    let (body, _) = rest.split_once('.').unwrap();
    let unsigned = format!("eyJhbGciOiJub25lIn0.{body}.");
    let hmac = JwtVerifier::<JwtClaims>::hmac(SECRET).unwrap();
    for verifier in [&rsa, &hmac] {
        assert_eq!(verifier.verify(&unsigned), Err(JwtError::Invalid));
    }
}

#[test]
fn tokens_of_every_algorithm_are_verified() {
    let claims = json!({ "sub": "ann", "exp": now() + 60, "role": "vip" });
    let rsa = EncodingKey::from_rsa_pem(include_bytes!("keys/rsa.pem")).unwrap();
    let ec = EncodingKey::from_ec_pem(include_bytes!("keys/ec.pem")).unwrap();
    let ed = EncodingKey::from_ed_pem(include_bytes!("keys/ed.pem")).unwrap();
    let secret = EncodingKey::from_secret(SECRET.as_bytes());
    let verifiers = [
        JwtVerifier::<JwtClaims>::hmac(SECRET).unwrap(),
        JwtVerifier::rsa(include_str!("keys/rsa.pub.pem")).unwrap(),
        JwtVerifier::ecdsa(include_str!("keys/ec.pub.pem")).unwrap(),
        JwtVerifier::eddsa(include_str!("keys/ed.pub.pem")).unwrap(),
    ];
    for (n, key, algorithms) in [
        (0, &secret, &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512][..]),
        (1, &rsa, &[Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256]),
        (2, &ec, &[Algorithm::ES256]),
        (3, &ed, &[Algorithm::EdDSA]),
    ] {
        for algorithm in algorithms {
            let token = encode(&Header::new(*algorithm), &claims, key).unwrap();
            for (m, verifier) in verifiers.iter().enumerate() {
                let verified = verifier.verify(&token).map(|claims| claims.sub);
                let expected = if n == m { Ok("ann".to_owned()) } else { Err(JwtError::Invalid) };
                assert_eq!(verified, expected, "{algorithm:?} by {m}");
            }
        }
    }
    // Without an audience of its own, a verifier takes no token that is for somebody.
    let token = signed(&json!({ "sub": "ann", "exp": now() + 60, "aud": "shop" }), SECRET);
    assert_eq!(verifiers[0].verify(&token), Err(JwtError::Audience));
    let late = signed(&json!({ "sub": "ann", "exp": now() - 5 }), SECRET);
    let lenient = verifiers[0].clone().leeway(Duration::from_secs(10));
    assert_eq!(verifiers[0].verify(&late).map(drop), Err(JwtError::Expired));
    assert_eq!(lenient.verify(&late).map(drop), Ok(()));
}

#[test]
fn token_with_critical_extension_is_refused_by_every_family() {
    let claims = json!({ "sub": "ann", "exp": now() + 60 });
    let rsa = EncodingKey::from_rsa_pem(include_bytes!("keys/rsa.pem")).unwrap();
    let ec = EncodingKey::from_ec_pem(include_bytes!("keys/ec.pem")).unwrap();
    let ed = EncodingKey::from_ed_pem(include_bytes!("keys/ed.pem")).unwrap();
    let secret = EncodingKey::from_secret(SECRET.as_bytes());
    let (rsa_public, ec_public) =
        (include_str!("keys/rsa.pub.pem"), include_str!("keys/ec.pub.pem"));
    let verifiers = [
        (Algorithm::HS256, secret, JwtVerifier::<JwtClaims>::hmac(SECRET)),
        (Algorithm::RS256, rsa.clone(), JwtVerifier::rsa(rsa_public)),
        (Algorithm::PS256, rsa, JwtVerifier::rsa(rsa_public)),
        (Algorithm::ES256, ec, JwtVerifier::ecdsa(ec_public)),
        (Algorithm::EdDSA, ed, JwtVerifier::eddsa(include_str!("keys/ed.pub.pem"))),
    ];
    for (algorithm, key, verifier) in verifiers {
        let verifier = verifier.unwrap();
        let verify = |crit: Option<&[&str]>| {
            let mut header = Header::new(algorithm);
            header.crit = crit.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
            verifier.verify(&encode(&header, &claims, &key).unwrap()).map(drop)
        };
        assert_eq!(verify(None), Ok(()), "{algorithm:?}");
        // A header that a verifier knows by itself is no extension, and may not be listed.
        for names in [&["b64"][..], &["https://example.com/sender"], &["exp"], &["alg"], &[]] {
            assert_eq!(verify(Some(names)), Err(JwtError::Invalid), "{algorithm:?} {names:?}");
        }
    }
}

#[test]
fn any_type_may_be_the_claims() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Claims {
        sub: u32,
        admin: bool,
    }
    let verifier = JwtVerifier::<Claims>::hmac(SECRET).unwrap();
    let token = signed(&json!({ "sub": 7, "admin": true, "exp": now() + 60 }), SECRET);
    assert_eq!(verifier.verify(&token), Ok(Claims { sub: 7, admin: true }));
    let token = signed(&json!({ "sub": "seven", "exp": now() + 60 }), SECRET);
    assert_eq!(verifier.verify(&token), Err(JwtError::Claims));
}

#[test]
fn keys_that_are_none_are_refused_and_none_is_printed() {
    assert_eq!(JwtVerifier::<JwtClaims>::hmac("short").map(drop), Err(JwtKeyError::ShortSecret));
    let ec = include_str!("keys/ec.pub.pem");
    assert_eq!(JwtVerifier::<JwtClaims>::rsa(ec).map(drop), Err(JwtKeyError::NotPem));
    assert_eq!(JwtVerifier::<JwtClaims>::eddsa("nothing").map(drop), Err(JwtKeyError::NotPem));
    let printed = format!("{:?}", JwtVerifier::<JwtClaims>::hmac(SECRET).unwrap());
    assert!(!printed.contains(SECRET) && !printed.contains(&format!("{:?}", SECRET.as_bytes())));
    let claims: JwtClaims =
        serde_json::from_value(json!({ "sub": "ann", "exp": 7, "role": "vip" })).unwrap();
    assert_eq!((claims.user_id(), &claims.other["role"]), ("ann", &json!("vip")));
    assert_eq!(claims.expires_at(), Some(UNIX_EPOCH + Duration::from_secs(7)));
}

#[tokio::test]
async fn a_proof_that_ends_ends_the_connection() {
    let (server, mut gone) = vault().await;
    let vip = claims(&json!({ "exp": now() + 2, "role": "vip" }));
    let ends = UNIX_EPOCH + Duration::from_secs(vip["exp"].as_u64().unwrap());
    let mut ann = Peer::connect(server.address, &auth(&vip)).await.unwrap();
    ann.join("members").await;
    let (name, failure) = ann.event().await;
    assert!(SystemTime::now() >= ends, "before its time");
    assert_eq!((&*name, &failure["code"]), ("dialogue:error", &json!("TOKEN_EXPIRED")));
    assert_eq!(ann.incoming().await, Incoming::Disconnected);
    assert_eq!(gone.recv().await, Some(DisconnectReason::TokenExpired));
    server.settled(|stats| stats.connections == 0 && stats.members == 0).await;
}

#[tokio::test]
async fn connected_client_is_told_when_its_credentials_expire_and_how_long_they_last() {
    let (server, _gone) = vault().await;
    let claims = claims(&json!({ "exp": now() + 60 }));
    let before = SystemTime::now();
    let mut ann = Peer::reply_only(server.address, &auth(&claims)).await.unwrap();
    let (name, connected) = ann.event().await;
    assert_eq!(name, "dialogue:connected");
    assert_expiry(&connected, &claims, before);

    // Credentials that do not expire have neither.
    let forever = Server::start(Lobby::default()).await;
    let mut bob = Peer::reply_only(forever.address, r#"{"userId":"bob"}"#).await.unwrap();
    let (_, connected) = bob.event().await;
    assert_eq!((&connected["expiresAt"], &connected["expiresInMs"]), (&json!(null), &json!(null)));
}

/// Checks that an answer has both the time of a token's `exp` and how long that is from a moment between
/// `before` and now.
fn assert_expiry(answer: &Value, claims: &Value, before: SystemTime) {
    let ends = claims["exp"].as_u64().unwrap() * 1_000;
    assert_eq!(answer["expiresAt"], ends);
    let ends = UNIX_EPOCH + Duration::from_millis(ends);
    let left = |from| u64::try_from(ends.duration_since(from).unwrap().as_millis()).unwrap();
    let lasts = answer["expiresInMs"].as_u64().unwrap();
    assert!((left(SystemTime::now())..=left(before)).contains(&lasts), "{answer}");
}

#[tokio::test]
async fn credentials_may_be_renewed_in_time() {
    let (server, mut gone) = vault().await;
    let mut ann =
        Peer::connect(server.address, &auth(&claims(&json!({ "exp": now() + 2 })))).await.unwrap();
    assert_eq!(ann.join("members").await["code"], "JOIN_DENIED");
    let longer = claims(&json!({ "exp": now() + 60, "role": "vip" }));
    let before = SystemTime::now();
    let renewed =
        ann.ask("dialogue:authenticate", json!({ "token": signed(&longer, SECRET) })).await;
    assert_eq!(renewed["ok"], true);
    assert_expiry(&renewed, &longer, before);
    // The whole identity is another one.
    assert_eq!(ann.join("members").await["ok"], true);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(ann.trigger("members", "ping", json!(null)).await["ok"], true);
    ann.message().await;

    // What does not prove the same user changes nothing.
    for (credentials, code) in [
        (json!({ "token": signed(&claims(&json!({ "sub": "bob" })), SECRET) }), "UNAUTHENTICATED"),
        (
            json!({ "token": signed(&claims(&json!({ "exp": now() - 1 })), SECRET) }),
            "TOKEN_EXPIRED",
        ),
        (json!({ "token": "nonsense" }), "UNAUTHENTICATED"),
        (json!({}), "UNAUTHENTICATED"),
        (json!(null), "UNAUTHENTICATED"),
    ] {
        let refused = ann.ask("dialogue:authenticate", credentials).await;
        assert_eq!(refused["code"], code, "{refused}");
    }
    assert_eq!(ann.trigger("members", "ping", json!(null)).await["ok"], true);
    assert_eq!(ann.message().await["from"], "ann");

    // A shorter proof counts, too.
    let shorter = json!({ "token": signed(&claims(&json!({ "exp": now() + 1 })), SECRET) });
    ann.emit("dialogue:authenticate", shorter).await;
    assert_eq!(ann.event().await.1["code"], "TOKEN_EXPIRED");
    assert_eq!(gone.recv().await, Some(DisconnectReason::TokenExpired));
}

#[tokio::test]
async fn an_end_comes_while_a_hook_still_runs() {
    let server = Server::start(Lobby::default()).await;
    let mut ann = server.with_ticket(r#"{"userId":"ann","valid":300}"#).await;
    ann.join("hall").await;
    // The room's handler takes longer than the proof lasts.
    let room = server.dialogue.room(crate::lobby::hall::Room);
    let done = Arc::new(AtomicBool::new(false));
    let late = done.clone();
    let _slow = room.before(move |message: dialogue::EventMessage<crate::lobby::Say>| {
        let late = late.clone();
        async move {
            tokio::time::sleep(Duration::from_secs(3)).await;
            late.store(true, Ordering::SeqCst);
            Ok(message)
        }
    });
    ann.emit(
        "dialogue:trigger",
        json!({ "roomId": "hall", "event": "say", "data": { "text": "x" } }),
    )
    .await;
    assert_eq!(ann.event().await.1["code"], "TOKEN_EXPIRED");
    assert_eq!(ann.incoming().await, Incoming::Disconnected);
    assert!(!done.load(Ordering::SeqCst), "waited for the hook");
    server.settled(|stats| stats.connections == 0).await;
    assert!(done.load(Ordering::SeqCst), "the hook was cut off");
}

#[tokio::test]
async fn who_is_expired_already_is_not_let_in() {
    let server = Server::start(Lobby::default()).await;
    let refused =
        Peer::connect(server.address, r#"{"userId":"ann","valid":0}"#).await.map(drop).unwrap_err();
    assert_eq!(refused["code"], "TOKEN_EXPIRED");
}

#[dialogue::room("board", events(Ping))]
mod board {}

struct Board;

#[dialogue::app(rooms(board))]
impl App for Board {
    type Credentials = IgnoredAny;
    type Identity = Anonymous;

    async fn authenticate(&self, _: IgnoredAny, handshake: &Handshake) -> Result<Anonymous, Deny> {
        Ok(Anonymous::new(handshake))
    }
}

#[tokio::test]
async fn an_app_may_let_everybody_in_without_a_name() {
    let server = Server::start(Board).await;
    for auth in ["", "{}", r#"{"userId":"ann","token":"x"}"#] {
        let peer = Peer::connect(server.address, auth).await.unwrap();
        assert_eq!(peer.user_id, peer.client_id);
    }
}

#[test]
fn times_of_a_token_with_fractions_count_in_whole_seconds() {
    let hmac = JwtVerifier::<JwtClaims>::hmac(SECRET).unwrap();
    let verify = |times: &str| {
        let claims = serde_json::from_str(&format!(r#"{{"sub":"ann",{times}}}"#)).unwrap();
        hmac.verify(&signed(&claims, SECRET)).map(|claims| (claims.exp, claims.iat))
    };
    let exp = now() + 60;
    let times = format!(r#""exp":{exp}.5,"iat":1700000000.9,"nbf":1.5"#);
    assert_eq!(verify(&times), Ok((exp, Some(1_700_000_000))));
    assert_eq!(verify(r#""exp":1.5"#), Err(JwtError::Expired));
    for wrong in ["-1.5", "1e300", r#""1""#, "null"] {
        assert_eq!(verify(&format!(r#""exp":{wrong}"#)), Err(JwtError::Claims), "{wrong}");
    }
}
