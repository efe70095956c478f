//! Triggers of one kind, for `cargo xtask instructions`: a profiler counts what happens in [`trigger`].
//!
//! `instructions ephemeral 1000`

use bench_micro::{Kind, Path};
use dialogue::bench::Message;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, times] = &arguments[..] else { panic!("a kind, and how many times") };
    let kind = match &**kind {
        "ephemeral" => Kind::Ephemeral,
        "stored" => Kind::Stored,
        "acknowledged" => Kind::Acknowledged,
        kind => panic!("{kind}: no such kind"),
    };
    let path = Path::open(kind);
    for _ in 0..times.parse().unwrap() {
        trigger(&path, path.message());
    }
}

/// A function of its own, for the profiler to find.
#[inline(never)]
fn trigger(path: &Path, message: Message) {
    path.trigger(message);
}
