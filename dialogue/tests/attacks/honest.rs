//! Measures the latency of a thousand honest clients while the server is under attack.

use std::{
    env,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::{MissedTickBehavior, interval_at, sleep},
};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

use crate::{
    attack::{Attack, blink},
    attacker::{Attacker, event, request},
    process::{Process, command, runs},
    town::{Site, serves},
};

const ROOMS: u32 = 100;
const MEMBERS: u32 = 10;
/// Pause between two events of a room.
const PAUSE: Duration = Duration::from_millis(200);
/// Duration of one measurement.
const TIME: Duration = Duration::from_secs(3);
/// Pause for an attack to begin, or to end.
const LEAD: Duration = Duration::from_secs(1);
const PAIRS: usize = 5;

/// Environment variable: the attack to run or, for the measurement, a part of the names of the attacks.
const ATTACK: &str = "DIALOGUE_ATTACK";
const ATTACKED: &str = "DIALOGUE_ATTACKED";

type Link = WebSocketStream<TcpStream>;

/// Measures latencies without and with each attack, in pairs. The server runs on one processor. The honest
/// clients and the attackers, which would have their own machines, share another one.
#[tokio::test]
#[ignore = "a measurement: run it alone, in release"]
async fn measure_what_attacks_cost_others() {
    let only = env::var(ATTACK).unwrap_or_default();
    let this = std::process::id().to_string();
    assert!(command(&words(&["taskset", "-acp", "1", &this])).status().await.unwrap().success());
    println!("| attack | quiet: median, p99 | attacked: median, p99 | p99, in multiples |");
    for attack in Attack::ALL {
        let name = format!("{attack:?}");
        if !name.contains(&only) {
            continue;
        }
        let server = [words(&["taskset", "-c", "0"]), serves()].concat();
        let server = Process::start(&mut command(&server)).await;
        let site = Site { address: server.address };
        attack.prepare(site).await;
        let crowd = Crowd::gather(site).await;
        let mut pairs = Vec::new();
        for _ in 0..PAIRS {
            let quiet = crowd.listen().await;
            let attacker = words(&["nice", "-n", "19", "taskset", "-c", "1"]);
            let mut attacker = command(&[attacker, runs("honest::attack")].concat());
            let attacker = attacker.env(ATTACK, &name).env(ATTACKED, site.address.to_string());
            let attacker = attacker.stdout(std::process::Stdio::null()).spawn().unwrap();
            sleep(LEAD).await;
            pairs.push((quiet, crowd.listen().await));
            drop(attacker);
            sleep(LEAD).await;
        }
        pairs.sort_by_key(|(quiet, attacked)| {
            1_000 * attacked.p99.as_nanos() / quiet.p99.as_nanos()
        });
        let (quiet, attacked) = &pairs[PAIRS / 2];
        let ratio = |(quiet, attacked): &(Times, Times)| {
            format!("{:.2}", attacked.p99.as_secs_f64() / quiet.p99.as_secs_f64())
        };
        let ratios: Vec<_> = pairs.iter().map(ratio).collect();
        println!("| {name} | {quiet:?} | {attacked:?} | {} |", ratios.join(" "));
    }
}

/// Measures the processor time of the server for 40 members of 65 rooms that read nothing.
#[tokio::test]
#[ignore = "a measurement: run it alone, in release"]
async fn measure_what_members_that_do_not_read_cost() {
    let server = Process::start(&mut command(&serves())).await;
    let mut members = Vec::new();
    for n in 0..40 {
        let mut member = Attacker::connect(server.address, &format!("idler{n}")).await;
        for room in 0..65 {
            member.join(&format!("own:{room}")).await;
        }
        members.push(member);
    }
    let mut talker = Attacker::connect(server.address, "talker").await;
    for room in 0..65 {
        talker.join(&format!("own:{room}")).await;
    }
    // Fills the queue of each member, then triggers once in each room.
    for (room, size) in (0..5).map(|room| (room, 900_000)).chain((0..65).map(|room| (room, 10))) {
        talker.send(&blink(&format!("own:{room}"), size)).await;
        talker.read_some().await;
    }
    sleep(LEAD).await;
    let before = server.cpu();
    sleep(TIME).await;
    let spent = server.cpu().saturating_sub(before);
    println!("{:.4} of a processor", spent.as_secs_f64() / TIME.as_secs_f64());
    drop(members);
}

/// Attacks until the process is killed.
#[tokio::test]
#[ignore = "the attacker that a measurement starts"]
async fn attack() {
    let (Ok(name), Ok(address)) = (env::var(ATTACK), env::var(ATTACKED)) else { return };
    let site = Site { address: address.parse().unwrap() };
    let attack = Attack::ALL.into_iter().find(|attack| format!("{attack:?}") == name).unwrap();
    loop {
        let done = attack.run(site).await;
        sleep(Duration::from_millis(500)).await;
        drop(done);
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

struct Times {
    median: Duration,
    p99: Duration,
}

impl std::fmt::Debug for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let millis = |time: Duration| time.as_secs_f64() * 1_000.0;
        write!(f, "{:.2} ms, {:.2} ms", millis(self.median), millis(self.p99))
    }
}

/// The honest clients, ten at each address.
struct Crowd {
    heard: Arc<Mutex<Vec<Duration>>>,
    _clients: JoinSet<()>,
}

impl Crowd {
    async fn gather(site: Site) -> Self {
        let (began, heard, mut clients) = (Instant::now(), Arc::default(), JoinSet::new());
        for room in 0..ROOMS {
            for member in 0..MEMBERS {
                let link = enter(site, room, member).await;
                clients.spawn(serve(link, room, member == 0, began, Arc::clone(&heard)));
            }
        }
        Self { heard, _clients: clients }
    }

    /// Measures latencies for [`TIME`]. Panics if events are missing.
    async fn listen(&self) -> Times {
        self.heard.lock().unwrap().clear();
        sleep(TIME).await;
        let mut times = std::mem::take(&mut *self.heard.lock().unwrap());
        let all = (ROOMS * MEMBERS) as usize * (TIME.as_millis() / PAUSE.as_millis()) as usize;
        assert!(times.len() > all * 95 / 100, "{} of {all} arrived", times.len());
        times.sort_unstable();
        Times { median: times[times.len() / 2], p99: times[times.len() * 99 / 100] }
    }
}

/// Connects a client from the address of its room, and joins the room.
async fn enter(site: Site, room: u32, member: u32) -> Link {
    let socket = TcpSocket::new_v4().unwrap();
    let host = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 1)) + room);
    socket.bind(SocketAddr::from((host, 0))).unwrap();
    let stream = socket.connect(site.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let url = format!("ws://{}/socket.io/?EIO=4&transport=websocket", site.address);
    let (mut link, _) = client_async(url, stream).await.unwrap();
    say(&mut link, format!(r#"40{{"userId":"honest-{room}-{member}"}}"#)).await;
    wait_for(&mut link, "dialogue:connected").await;
    say(&mut link, request("dialogue:join", 1, &json!({ "roomId": format!("own:{room}") }))).await;
    wait_for(&mut link, "431[").await;
    link
}

/// Answers pings, records the latencies of events and, as the first member, triggers one every [`PAUSE`].
async fn serve(
    mut link: Link,
    room: u32,
    speaks: bool,
    began: Instant,
    heard: Arc<Mutex<Vec<Duration>>>,
) {
    let first = tokio::time::Instant::now() + PAUSE * room / ROOMS;
    let mut ticks = interval_at(first, PAUSE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick(), if speaks => {
                let text = began.elapsed().as_nanos().to_string();
                let blink = json!({ "roomId": format!("own:{room}"), "event": "blink", "data": { "text": text } });
                say(&mut link, event("dialogue:trigger", &blink)).await;
            }
            message = link.next() => {
                let message = message.expect("the server keeps an honest client").unwrap();
                let Message::Text(text) = message else { continue };
                if text.as_str() == "2" {
                    say(&mut link, "3".into()).await;
                } else if let Some(event) = text.strip_prefix("42") {
                    let event: Value = serde_json::from_str(event).unwrap();
                    // Rooms are announced, too.
                    if event[0] != "dialogue:event" {
                        continue;
                    }
                    let sent = event[1]["data"]["text"].as_str().unwrap().parse().unwrap();
                    let taken = began.elapsed().saturating_sub(Duration::from_nanos(sent));
                    heard.lock().unwrap().push(taken);
                }
            }
        }
    }
}

async fn say(link: &mut Link, text: String) {
    link.send(Message::text(text)).await.unwrap();
}

async fn wait_for(link: &mut Link, wanted: &str) {
    loop {
        let message = link.next().await.expect("the server accepts an honest client").unwrap();
        let Ok(text) = message.to_text() else { continue };
        if text == "2" {
            say(link, "3".into()).await;
        } else if text.contains(wanted) {
            break;
        }
    }
}
