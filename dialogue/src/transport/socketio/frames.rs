//! What is read off WebSocket frames as they pass, in either direction. tungstenite decodes them; this
//! only follows where messages begin and end.

use crate::connection::text_frames::{TEXT, header};

/// The longest name of a namespace, in bytes: the transport repeats it in its answer.
const MAX_NAMESPACE: usize = 256;
/// The longest text of a packet with attachments, in bytes: it is held until they are there.
const MAX_WITH_ATTACHMENTS: usize = 4_096;
/// The longest header of a frame, in bytes.
const MAX_HEADER: usize = 14;
/// Length of a payload from which on it is large, in bytes.
pub(crate) const LARGE: usize = 4_096;

/// The packet with which a client answers a heartbeat.
const PONG: u8 = b'3';
const BINARY: u8 = 2;
const CONTROL: u8 = 8;

/// What was read of messages.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Length of the longest payload, or part of one, in bytes.
    pub(crate) longest: usize,
    /// Number of frames of messages that have several.
    pub(crate) fragments: usize,
    /// Number of frames with large payloads.
    pub(crate) large: usize,
}

/// Follows what a client sends.
#[derive(Default)]
pub(crate) struct Incoming {
    header: [u8; MAX_HEADER],
    /// How many bytes of a header there are.
    known: usize,
    /// How many bytes of the frame's payload are still to come.
    left: u64,
    last: bool,
    opcode: u8,
    mask: [u8; 4],
    /// How many bytes of the payload there were.
    at: usize,
    /// How many bytes of a message there are that has not ended.
    message: usize,
    /// Whether that message has several frames.
    fragmented: bool,
    seen: Seen,
    /// Number of frames that ended since it was last asked for.
    frames: usize,
    /// Number of answers to heartbeats since it was last asked for.
    answers: usize,
    packet: Packets,
}

impl Incoming {
    /// Follows bytes, up to where the payload of a large frame begins. Returns how many follow that, or `None`
    /// for a packet that no client needs to send.
    pub(crate) fn follow(&mut self, mut bytes: &[u8]) -> Option<usize> {
        while !bytes.is_empty() {
            if self.left == 0 {
                if !self.begin(&mut bytes) {
                    break;
                }
                if self.left > LARGE as u64 && !bytes.is_empty() {
                    return Some(bytes.len());
                }
            }
            let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            let (payload, rest) = bytes.split_at(length);
            if !self.is_control() {
                self.message += length;
                self.answers += usize::from(self.is_answer(payload));
                if self.packet.wants_more() {
                    let (mask, at) = (self.mask, self.at);
                    let unmasked = payload.iter().enumerate();
                    let mut unmasked = unmasked.map(|(n, byte)| byte ^ mask[(at + n) % 4]);
                    if !unmasked.all(|byte| self.packet.follow(byte)) {
                        return None;
                    }
                }
            }
            self.at += length;
            self.left -= length as u64;
            if !self.is_control() {
                self.seen.longest = self.seen.longest.max(self.at);
            }
            bytes = rest;
            self.end();
        }
        Some(0)
    }

    /// What was read since the last call.
    pub(crate) fn take_seen(&mut self) -> Seen {
        std::mem::take(&mut self.seen)
    }

    /// How many bytes the transport holds of a message that has not ended. It holds a fragment twice: where
    /// it was read, and in the message.
    pub(crate) fn partial(&self) -> usize {
        if self.fragmented { 2 * self.message } else { self.message }
    }

    /// The number of frames that ended since the last call.
    pub(crate) fn take_frames(&mut self) -> usize {
        std::mem::take(&mut self.frames)
    }

    fn is_control(&self) -> bool {
        self.opcode >= CONTROL
    }

    /// Whether these next bytes of a payload are an answer to a heartbeat.
    fn is_answer(&self, payload: &[u8]) -> bool {
        let is_short = self.opcode == TEXT && self.last && self.at == 0 && self.left == 1;
        is_short && payload == [PONG ^ self.mask[0]]
    }

    /// The number of answers to heartbeats since the last call.
    pub(crate) fn take_answers(&mut self) -> usize {
        std::mem::take(&mut self.answers)
    }

    /// Reads a header; returns whether a payload follows.
    fn begin(&mut self, bytes: &mut &[u8]) -> bool {
        while let [byte, rest @ ..] = *bytes {
            *bytes = rest;
            self.header[self.known] = *byte;
            self.known += 1;
            let Some(header) = header(&self.header[..self.known]) else { continue };
            (self.known, self.at, self.left) = (0, 0, header.payload);
            (self.last, self.opcode) = (header.last, header.opcode);
            self.mask = header.mask.unwrap_or_default();
            self.fragmented |= !self.is_control() && !self.last;
            self.seen.fragments += usize::from(self.fragmented && !self.is_control());
            self.seen.large += usize::from(self.left > LARGE as u64 && !self.is_control());
            if header.opcode == TEXT {
                self.packet = Packets::default();
            } else if header.opcode == BINARY {
                // An attachment has limits of its own.
                self.packet.done = true;
            }
            if self.left > 0 {
                return true;
            }
            self.end();
        }
        false
    }

    fn end(&mut self) {
        if self.left > 0 {
            return;
        }
        self.frames += 1;
        if self.last && !self.is_control() {
            (self.message, self.fragmented) = (0, false);
        }
    }
}

/// Follows the packets of one text, which a separator may divide, and finds those that connect to a
/// namespace whose name is too long, and long ones with attachments.
#[derive(Default)]
pub(crate) struct Packets {
    at: usize,
    /// How many bytes the packet may have, or those of it before a comma.
    most: Option<usize>,
    connects: bool,
    done: bool,
}

impl Packets {
    const SEPARATOR: u8 = 0x1E;

    /// Whether anything can still be found without a separator.
    fn wants_more(&self) -> bool {
        !self.done
    }

    /// Follows the next byte. Returns false for a name that is too long.
    pub(crate) fn follow(&mut self, byte: u8) -> bool {
        if byte == Self::SEPARATOR {
            *self = Self::default();
            return true;
        }
        if self.done {
            return true;
        }
        match (self.at, byte) {
            (0, b'4') => {}
            (1, b'0') => self.connects = true,
            (1, b'5' | b'6') => self.most = Some(MAX_WITH_ATTACHMENTS),
            (2, b'/') if self.connects => self.most = Some(MAX_NAMESPACE + 3),
            (0 | 1, _) => self.done = true,
            (2, _) | (_, b',') if self.connects => self.done = true,
            _ => {}
        }
        self.at += 1;
        self.most.is_none_or(|most| self.at <= most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::text_frames::{text_header, texts};

    /// A client's frame.
    fn masked(opcode: u8, last: bool, payload: &[u8]) -> Vec<u8> {
        let mask = [7, 11, 13, 17];
        let (mut header, length) = text_header(payload.len());
        header[0] = if last { 0x80 } else { 0 } | opcode;
        header[1] |= 0x80;
        let mut frame = header[..length].to_vec();
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame
    }

    /// Follows all bytes; returns whether a client may send them.
    fn follow(incoming: &mut Incoming, mut bytes: &[u8]) -> bool {
        loop {
            let Some(rest) = incoming.follow(bytes) else { return false };
            if rest == 0 {
                return true;
            }
            bytes = &bytes[bytes.len() - rest..];
        }
    }

    #[test]
    fn answers_to_heartbeats_are_counted_and_nothing_else_is() {
        let mut incoming = Incoming::default();
        let all = [
            masked(TEXT, true, b"3"),
            masked(TEXT, true, b"2"),
            masked(TEXT, true, b"33"),
            masked(TEXT, false, b"3"),
            masked(0, true, b"3"),
            masked(BINARY, true, b"3"),
            masked(9, true, b"3"),
            masked(TEXT, true, b"3"),
        ];
        for byte in all.concat() {
            assert!(follow(&mut incoming, &[byte]));
        }
        assert_eq!((incoming.take_answers(), incoming.take_answers()), (2, 0));
    }

    #[test]
    fn payload_of_a_large_frame_is_followed_by_itself() {
        let frames =
            [masked(TEXT, true, &[b'x'; 100]), masked(TEXT, true, &[b'y'; 5_000])].concat();
        let mut incoming = Incoming::default();
        let seen = |incoming: &mut Incoming| {
            let Seen { longest, fragments, large } = incoming.take_seen();
            (longest, fragments, large)
        };
        assert_eq!(incoming.follow(&frames[..500]), Some(500 - 106 - 8));
        assert_eq!(seen(&mut incoming), (100, 0, 1));
        assert_eq!(incoming.follow(&frames[114..500]), Some(0));
        assert_eq!(seen(&mut incoming), (386, 0, 0));
        assert_eq!(incoming.follow(&frames[500..]), Some(0));
        assert_eq!(seen(&mut incoming), (5_000, 0, 0));
        assert!(follow(&mut incoming, &masked(TEXT, false, &[b'z'; 6_000])));
        assert_eq!(seen(&mut incoming), (6_000, 1, 1));
        assert!(follow(&mut incoming, &masked(0, true, b"z")));
        assert_eq!(seen(&mut incoming), (1, 1, 0), "it was one of several frames");
        assert_eq!(seen(&mut incoming), (0, 0, 0));
    }

    #[test]
    fn attachment_longer_than_its_packet_may_be_is_followed() {
        let mut incoming = Incoming::default();
        assert!(follow(&mut incoming, &masked(TEXT, true, br#"451-["dialogue:trigger",{}]"#)));
        assert!(follow(&mut incoming, &masked(BINARY, true, &[b'x'; 16_000])));
        let long = [b"451-".as_slice(), &[b'x'; MAX_WITH_ATTACHMENTS]].concat();
        assert!(!follow(&mut incoming, &masked(TEXT, true, &long)));
    }

    #[test]
    fn texts_of_every_length_are_found_between_other_frames() {
        let all: Vec<Vec<u8>> =
            [0, 1, 125, 126, 65_535, 65_536].map(|length| vec![b'x'; length]).into();
        let mut frames = vec![0x89, 2, b'a', b'b'];
        for text in &all {
            let (header, length) = text_header(text.len());
            frames.extend(&header[..length]);
            frames.extend(text);
            frames.extend([0x8A, 0]);
        }
        assert_eq!(texts(&frames).collect::<Vec<_>>(), all);
        assert_eq!(texts(&frames[..frames.len() - 3]).count(), all.len() - 1);
    }

    #[test]
    fn incoming_message_in_fragments_is_partial_until_it_ends() {
        let frames = [
            masked(TEXT, false, b"4"),
            masked(9, true, b"ping"),
            masked(0, false, &[b'x'; 300]),
            masked(0, true, &vec![b'y'; 70_000]),
            masked(TEXT, true, b""),
        ];
        // The transport holds fragments twice.
        let ends = [2, 2, 602, 0, 0];
        for step in [1, 3, 1_000_000] {
            let mut incoming = Incoming::default();
            for (frame, end) in frames.iter().zip(ends) {
                assert!(frame.chunks(step).all(|chunk| follow(&mut incoming, chunk)));
                assert_eq!(incoming.partial(), end);
            }
        }
    }

    #[test]
    fn incoming_connect_to_a_long_namespace_is_refused_however_it_is_cut() {
        let name = |length: usize| format!("40/{},{}", "n".repeat(length), "x".repeat(10_000));
        for step in [1, 7, 1_000_000] {
            let ok = |frames: &[Vec<u8>]| {
                let mut incoming = Incoming::default();
                frames.concat().chunks(step).all(|chunk| follow(&mut incoming, chunk))
            };
            assert!(ok(&[masked(TEXT, true, name(200).as_bytes())]));
            assert!(!ok(&[masked(TEXT, true, name(300).as_bytes())]));
            let text = name(300);
            let (first, second) = text.as_bytes().split_at(2);
            assert!(!ok(&[masked(TEXT, false, first), masked(0, true, second)]));
            let event = format!("42[{:?}]", "/".repeat(1_000));
            assert!(ok(&[masked(TEXT, true, event.as_bytes())]));
        }
    }

    #[test]
    fn packets_of_a_poll_are_followed_across_separators() {
        let ok = |text: &str| {
            let mut packets = Packets::default();
            text.bytes().all(|byte| packets.follow(byte))
        };
        let long = "n".repeat(300);
        assert!(ok(&format!("42[\"{long}\"]\u{1e}40/short,\u{1e}3")));
        assert!(!ok(&format!("42[\"{long}\"]\u{1e}40/{long}")));
        assert!(ok("451-[\"a\",{\"_placeholder\":true,\"num\":0}]"));
        assert!(!ok(&format!("451-[\"{}\"]", "x,".repeat(3_000))));
    }
}
