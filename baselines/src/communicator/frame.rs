//! The two kinds of frames between members: the header of a message, and the notice of a member that gives up.
//!
//! A header is the message's [`Tag`] and nothing else, 32 bytes; the payload follows. Integers in little endian.

use flexdit_comm::{Cause, DType, Op, Tag};
use flexdit_core::Rank;

/// Bytes of every frame, payload apart.
pub(super) const HEADER_BYTES: usize = 32;

const MAGIC: u16 = 0xf1ed;
/// Where other headers have their operation.
const GIVES_UP: u8 = 0;

/// A frame's header as bytes.
pub(super) type Header = [u8; HEADER_BYTES];

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// A message follows.
    Message(Tag),
    /// Nothing follows, ever: `by` failed first.
    GivesUp { by: Rank, cause: Cause },
}

/// The header in front of a message.
pub(super) fn of_message(tag: &Tag) -> Header {
    write([tag.key, tag.sequence, tag.bytes], tag.index, tag.op as u8, tag.dtype as u8)
}

/// The last frame of a member that gives up.
pub(super) fn of_end(by: Rank, cause: Cause) -> Header {
    write([0; 3], u32::from(by.0), GIVES_UP, cause as u8)
}

fn write(words: [u64; 3], index: u32, op: u8, detail: u8) -> Header {
    let mut header = [0; HEADER_BYTES];
    let (chunks, rest) = header.as_chunks_mut::<8>();
    for (chunk, word) in chunks.iter_mut().zip(words) {
        *chunk = word.to_le_bytes();
    }
    debug_assert!(rest.is_empty());
    header[24..28].copy_from_slice(&index.to_le_bytes());
    (header[28], header[29]) = (op, detail);
    header[30..].copy_from_slice(&MAGIC.to_le_bytes());
    header
}

/// Reads a header; `None` if it is none.
pub(super) fn read(header: &Header) -> Option<Frame> {
    let (words, _) = header.as_chunks::<8>();
    let [key, sequence, bytes, _] = <[[u8; 8]; 4]>::try_from(words).ok()?.map(u64::from_le_bytes);
    let index = u32::from_le_bytes(*header[24..].first_chunk()?);
    let (op, detail) = (header[28], header[29]);
    if header[30..] != MAGIC.to_le_bytes() {
        return None;
    }
    if op == GIVES_UP {
        let causes = [Cause::Asked, Cause::Mismatch, Cause::Timeout, Cause::PeerLost];
        let cause = causes.into_iter().find(|cause| *cause as u8 == detail)?;
        return Some(Frame::GivesUp { by: Rank(index as u16), cause });
    }
    let op = Op::ALL.into_iter().find(|known| *known as u8 == op)?;
    let dtype = DType::ALL.into_iter().find(|known| *known as u8 == detail)?;
    Some(Frame::Message(Tag { sequence, index, op, dtype, bytes, key }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_read_back_as_they_were_written() {
        for op in Op::ALL {
            for dtype in DType::ALL {
                let tag =
                    Tag { sequence: u64::MAX - 1, index: 7, op, dtype, bytes: 1 << 40, key: 3 };
                assert_eq!(read(&of_message(&tag)), Some(Frame::Message(tag)));
            }
        }
        let end = of_end(Rank(63), Cause::Timeout);
        assert_eq!(read(&end), Some(Frame::GivesUp { by: Rank(63), cause: Cause::Timeout }));
    }

    #[test]
    fn other_bytes_are_no_header() {
        assert_eq!(read(&[0; HEADER_BYTES]), None);
        let mut header = of_end(Rank(0), Cause::Asked);
        header[28] = 99;
        assert_eq!(read(&header), None);
    }
}
