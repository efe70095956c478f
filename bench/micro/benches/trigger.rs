//! What a client's trigger costs: the whole path, and parts of it by themselves.
//!
//! `cargo bench --package bench-micro --bench trigger`
#![allow(missing_docs)]

use bench_micro::{Kind, Path, Stored, payload};
use dialogue::{Epoch, Event, EventMessage, Limits, Position, bench::decode};
use divan::{AllocProfiler, Bencher, Divan};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    // As many in a row as a connection's buffer has room for what they send.
    Divan::default().sample_count(500).sample_size(32).config_with_args().main();
}

/// From the text of a message to the hand-over to a subscriber.
mod whole {
    use super::*;

    fn trigger(bencher: Bencher<'_, '_>, kind: Kind) {
        let path = Path::open(kind);
        bencher.with_inputs(|| path.message()).bench_local_values(|message| path.trigger(message));
    }

    #[divan::bench]
    fn ephemeral(bencher: Bencher<'_, '_>) {
        trigger(bencher, Kind::Ephemeral);
    }

    #[divan::bench]
    fn stored(bencher: Bencher<'_, '_>) {
        trigger(bencher, Kind::Stored);
    }

    #[divan::bench]
    fn stored_and_acknowledged(bencher: Bencher<'_, '_>) {
        trigger(bencher, Kind::Acknowledged);
    }

    #[divan::bench]
    fn stored_with_a_key(bencher: Bencher<'_, '_>) {
        trigger(bencher, Kind::StoredWithKey);
    }

    #[divan::bench]
    fn stored_with_handlers(bencher: Bencher<'_, '_>) {
        trigger(bencher, Kind::Handled);
    }
}

/// What it is made of. The place in the log is `store::memory::append`, of the other benchmarks.
mod part {
    use super::*;

    /// A message as it is broadcast.
    fn message() -> EventMessage<impl Event> {
        let mut message = EventMessage::new("stored", "plain", payload());
        message.from = "ann".into();
        message.timestamp = 1_700_000_000_000;
        message.position = Some(Position { epoch: Epoch::random(), seq: 1_000, prev: 999 });
        message
    }

    /// From the text to the typed payload.
    #[divan::bench]
    fn decoding(bencher: Bencher<'_, '_>) {
        let message = Path::open(Kind::Stored).message();
        let limits = Limits::default();
        bencher.bench_local(|| decode::<Stored>(&message, &limits).unwrap());
    }

    #[divan::bench]
    fn validation(bencher: Bencher<'_, '_>) {
        let payload = payload();
        bencher.bench_local(|| payload.check());
    }

    /// The JSON of the message around it.
    #[divan::bench]
    fn encoding(bencher: Bencher<'_, '_>) {
        let message = message();
        bencher.bench_local(|| serde_json::to_string(&message).unwrap());
    }

    /// The same, in a packet that is put into the subscriber's buffer.
    #[divan::bench]
    fn hand_over(bencher: Bencher<'_, '_>) {
        let (path, message) = (Path::open(Kind::Stored), message());
        bencher.with_inputs(|| path.read()).bench_local_values(|()| path.hand_over(&message));
    }
}
