//! Headers of WebSocket frames. A queue keeps one with each packet, so that many packets leave in one write.

/// The opcode of a text frame.
pub(crate) const TEXT: u8 = 1;

/// The header of an unmasked text frame.
pub(crate) fn text_header(length: usize) -> ([u8; 10], usize) {
    let mut header = [0; 10];
    header[0] = 0x80 | TEXT;
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ ..=125), _) => {
            header[1] = short;
            (header, 2)
        }
        (_, Ok(medium)) => {
            header[1] = 126;
            header[2..4].copy_from_slice(&medium.to_be_bytes());
            (header, 4)
        }
        _ => {
            header[1] = 127;
            header[2..].copy_from_slice(&(length as u64).to_be_bytes());
            (header, 10)
        }
    }
}

/// What is known of a frame once its header is there.
pub(crate) struct Header {
    /// How many bytes it has.
    pub(crate) length: usize,
    pub(crate) payload: u64,
    pub(crate) opcode: u8,
    pub(crate) last: bool,
    pub(crate) mask: Option<[u8; 4]>,
}

/// The header at the start of `bytes`, if all of it is there.
pub(crate) fn header(bytes: &[u8]) -> Option<Header> {
    let [first, second, rest @ ..] = bytes else { return None };
    let (payload, extended) = match second & 0x7F {
        126 => (u64::from(u16::from_be_bytes(*rest.first_chunk()?)), 2),
        127 => (u64::from_be_bytes(*rest.first_chunk()?), 8),
        short => (u64::from(short), 0),
    };
    let mask = match second & 0x80 {
        0 => None,
        _ => Some(*rest.get(extended..)?.first_chunk()?),
    };
    let length = 2 + extended + mask.map_or(0, |mask| mask.len());
    Some(Header { length, payload, opcode: first & 0x0F, last: first & 0x80 != 0, mask })
}

/// The payloads of the text frames in `frames`, which are whole and unmasked: the server's own.
pub(crate) fn texts(mut frames: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        loop {
            let header = header(frames)?;
            let end = header.length.saturating_add(usize::try_from(header.payload).ok()?);
            let payload = frames.get(header.length..end)?;
            frames = &frames[end..];
            if header.opcode == TEXT {
                return Some(payload);
            }
        }
    })
}
