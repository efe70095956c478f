//! Frames of a WebSocket, as clients send and servers answer them: enough to load a server without being
//! slower than it.

/// Appends a text frame.
pub(crate) fn write_text(frames: &mut Vec<u8>, text: &[u8]) {
    /// Clients must mask what they send; with zeros, it stays as it is.
    const MASK: [u8; 4] = [0; 4];
    const MASKED: u8 = 0x80;
    frames.push(0x81);
    match text.len() {
        // The first two fit: they were just compared.
        short @ 0..126 => frames.push(MASKED + short as u8),
        medium @ 126..65_536 => {
            frames.push(MASKED + 126);
            frames.extend((medium as u16).to_be_bytes());
        }
        long => {
            frames.push(MASKED + 127);
            frames.extend((long as u64).to_be_bytes());
        }
    }
    frames.extend(MASK);
    frames.extend(text);
}

/// What a server sent and is not a whole frame yet.
#[derive(Default)]
pub(crate) struct Incoming {
    rest: Vec<u8>,
}

impl Incoming {
    /// Takes bytes in; calls back for each text that is whole.
    pub(crate) fn take(&mut self, bytes: &[u8], on_text: &mut impl FnMut(&[u8])) {
        if self.rest.is_empty() {
            let taken = read_texts(bytes, on_text);
            self.rest.extend(&bytes[taken..]);
        } else {
            self.rest.extend(bytes);
            let taken = read_texts(&self.rest, on_text);
            self.rest.drain(..taken);
        }
        if self.rest.is_empty() {
            // Thousands of connections keep no room for what has come.
            self.rest = Vec::new();
        }
    }
}

/// Returns how many bytes belonged to whole frames.
fn read_texts(bytes: &[u8], on_text: &mut impl FnMut(&[u8])) -> usize {
    const TEXT: u8 = 0x81;
    let mut taken = 0;
    while let Some((kind, header, length)) = read_header(&bytes[taken..])
        && let Some(body) = bytes[taken..].get(header..header + length)
    {
        if kind == TEXT {
            on_text(body);
        }
        taken += header + length;
    }
    taken
}

/// The first byte, and the lengths of the header and of the body, once they are there.
fn read_header(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (&kind, &short) = (bytes.first()?, bytes.get(1)?);
    // Servers do not mask.
    let (header, length) = match short {
        126 => (4, u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?).into()),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize),
        short => (2, short.into()),
    };
    Some((kind, header, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server would send.
    fn sent(texts: &[&str]) -> Vec<u8> {
        let mut frames = Vec::new();
        for text in texts {
            let mut frame = Vec::new();
            write_text(&mut frame, text.as_bytes());
            let header = frame.len() - text.len();
            frame.drain(header - 4..header);
            frame[1] &= 0x7F;
            frames.extend(frame);
        }
        frames
    }

    #[test]
    fn texts_are_found_however_they_are_cut() {
        let long = "x".repeat(70_000);
        let medium = "y".repeat(300);
        let texts = ["", "2", &medium, &long, "last"];
        let bytes = sent(&texts);
        for size in [1, 2, 3, 127, 4_096, bytes.len()] {
            let (mut incoming, mut found) = (Incoming::default(), Vec::new());
            for part in bytes.chunks(size) {
                incoming
                    .take(part, &mut |text| found.push(String::from_utf8_lossy(text).into_owned()));
            }
            assert_eq!(found, texts, "{size} bytes at a time");
            assert!(incoming.rest.is_empty());
        }
    }
}
