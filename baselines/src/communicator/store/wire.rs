//! What store and clients say to each other: frames of a length, a kind and fields; integers in little endian.
//!
//! Requests of one connection are answered in order, so a client may send several at once. `Set`, `Remove` and `Refuse`
//! have no answer. Invariant: decoding never panics and never allocates more than the frame holds.

/// Bytes of the length in front of every frame.
pub(super) const LENGTH_BYTES: usize = 4;

/// The longest frame; a longer one ends the connection.
pub(super) const MOST_BYTES: usize = 1 << 20;

/// What a client asks for. Keys and values are bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request<'a> {
    /// Stores a value. No answer.
    Set { key: &'a [u8], value: &'a [u8] },
    /// Answers with the values as soon as all keys have one.
    Get { keys: Vec<&'a [u8]> },
    /// Answers as soon as all keys have a value.
    Wait { keys: Vec<&'a [u8]> },
    /// Adds to a counter, absent is 0; answers with the sum.
    Add { key: &'a [u8], by: i64 },
    /// Deletes keys; answers how many there were.
    Delete { keys: Vec<&'a [u8]> },
    /// Deletes keys. No answer.
    Remove { keys: Vec<&'a [u8]> },
    /// Stores a value if the key has none; answers with the value that it then has.
    Claim { key: &'a [u8], value: &'a [u8] },
    /// Answers with one byte per key: 1 if it has a value. Waits for nothing.
    Present { keys: Vec<&'a [u8]> },
    /// Gives every key with one of these endings that anybody waits for, or will ask for, an empty value. No answer.
    Refuse { endings: Vec<&'a [u8]> },
}

impl Request<'_> {
    /// Whether it has an answer.
    pub(super) fn is_answered(&self) -> bool {
        !matches!(self, Self::Set { .. } | Self::Remove { .. } | Self::Refuse { .. })
    }
}

/// Frames to be sent together.
#[derive(Debug, Default)]
pub(super) struct Frames {
    pub(super) bytes: Vec<u8>,
}

impl Frames {
    /// Appends a request.
    pub(super) fn ask(&mut self, request: &Request<'_>) {
        self.frame(|out| match request {
            Request::Set { key, value } => out.kind(1).field(key).field(value),
            Request::Get { keys } => out.kind(2).fields(keys),
            Request::Wait { keys } => out.kind(3).fields(keys),
            Request::Add { key, by } => out.kind(4).field(key).field(&by.to_le_bytes()),
            Request::Delete { keys } => out.kind(5).fields(keys),
            Request::Remove { keys } => out.kind(6).fields(keys),
            Request::Claim { key, value } => out.kind(7).field(key).field(value),
            Request::Present { keys } => out.kind(8).fields(keys),
            Request::Refuse { endings } => out.kind(9).fields(endings),
        });
    }

    /// Appends an answer of some fields.
    pub(super) fn answer<'a>(&mut self, fields: impl IntoIterator<Item = &'a [u8]>) {
        self.frame(|out| fields.into_iter().fold(out, Frames::field));
    }

    fn frame(&mut self, fill: impl FnOnce(&mut Self) -> &mut Self) {
        let begin = self.bytes.len();
        self.bytes.extend([0; LENGTH_BYTES]);
        fill(self);
        let length = (self.bytes.len() - begin - LENGTH_BYTES) as u32;
        self.bytes[begin..begin + LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
    }

    fn kind(&mut self, kind: u8) -> &mut Self {
        self.bytes.push(kind);
        self
    }

    fn field(&mut self, field: &[u8]) -> &mut Self {
        self.bytes.extend((field.len() as u32).to_le_bytes());
        self.bytes.extend(field);
        self
    }

    fn fields(&mut self, fields: &[&[u8]]) -> &mut Self {
        fields.iter().fold(self, |out, field| out.field(field))
    }
}

/// The length of the frame that begins with `bytes`, without the length itself; `None` if too little is there.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    let length = bytes.first_chunk::<LENGTH_BYTES>()?;
    Some(u32::from_le_bytes(*length) as usize)
}

/// The fields of an answer; `None` if it is malformed.
pub(super) fn fields(mut body: &[u8]) -> Option<Vec<&[u8]>> {
    let mut fields = Vec::new();
    while !body.is_empty() {
        let (length, rest) = body.split_first_chunk::<4>()?;
        let (field, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        fields.push(field);
        body = rest;
    }
    Some(fields)
}

/// The request in a frame's body; `None` if it is malformed.
pub(super) fn request(body: &[u8]) -> Option<Request<'_>> {
    let (kind, body) = body.split_first()?;
    let keys = fields(body)?;
    let two = || <[&[u8]; 2]>::try_from(keys.as_slice()).ok();
    Some(match kind {
        1 => two().map(|[key, value]| Request::Set { key, value })?,
        2 => Request::Get { keys },
        3 => Request::Wait { keys },
        4 => {
            let [key, by] = two()?;
            Request::Add { key, by: i64::from_le_bytes(by.try_into().ok()?) }
        }
        5 => Request::Delete { keys },
        6 => Request::Remove { keys },
        7 => two().map(|[key, value]| Request::Claim { key, value })?,
        8 => Request::Present { keys },
        9 => Request::Refuse { endings: keys },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_reads_back_as_it_was_written() {
        let keys = || vec![&b"a"[..], b"", b"ccc"];
        for request in [
            Request::Set { key: b"k", value: b"value" },
            Request::Get { keys: keys() },
            Request::Wait { keys: keys() },
            Request::Add { key: b"k", by: -3 },
            Request::Delete { keys: keys() },
            Request::Remove { keys: Vec::new() },
            Request::Claim { key: b"k", value: b"" },
            Request::Present { keys: keys() },
            Request::Refuse { endings: keys() },
        ] {
            let mut frames = Frames::default();
            frames.ask(&request);
            let (_, body) = frames.bytes.split_at(LENGTH_BYTES);
            assert_eq!(length(&frames.bytes), Some(body.len()));
            assert_eq!(super::request(body).as_ref(), Some(&request));
        }
    }

    #[test]
    fn malformed_frames_are_none() {
        for body in [&b""[..], b"\x0a", b"\x01", b"\x01\x05\0\0\0ab", b"\x04\x01\0\0\0a\x01\0\0\0b"]
        {
            assert_eq!(request(body), None, "{body:?}");
        }
        assert_eq!(length(b"\x01\0\0"), None);
    }
}
