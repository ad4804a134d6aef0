//! A message's descriptor: one cache line that carries the order number, the whole tag and where the bytes lie.

use crate::dtype::DType;
use crate::memory::Location;
use crate::tag::{Op, Tag};

/// One piece of a message, as published to its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub tag: Tag,
    pub location: Location,
    /// Bytes of this piece.
    pub length: u32,
    /// Its first byte within the message.
    pub begin: u64,
    /// The bytes lie in memory that the sender lent, not in its window.
    pub lent: bool,
}

const ADDRESS: u64 = 1 << 63;
const LENT: u64 = 1 << 63;

impl Message {
    /// Words 1 to 7 of the slot; word 0 is the order number.
    pub(crate) fn encode(&self) -> [u64; 7] {
        let Tag { sequence, index, op, dtype, bytes, key } = self.tag;
        let kind = u64::from(index) << 16 | (dtype as u64) << 8 | op as u64;
        let location = match self.location {
            Location::Heap(offset) => offset,
            Location::Address(address) => address | ADDRESS,
        };
        let lent = if self.lent { LENT } else { 0 };
        [sequence, key, kind, bytes, location, u64::from(self.length), self.begin | lent]
    }

    /// The message of seven words, unless they are none.
    pub(crate) fn decode(words: [u64; 7]) -> Option<Self> {
        let [sequence, key, kind, bytes, location, length, begin] = words;
        // The kinds count from 1, the types from 0, in order.
        let op = *Op::ALL.get(((kind & 0xff) as usize).checked_sub(1)?)?;
        let dtype = *DType::ALL.get((kind >> 8 & 0xff) as usize)?;
        let tag = Tag { sequence, index: (kind >> 16) as u32, op, dtype, bytes, key };
        let location = if location & ADDRESS == 0 {
            Location::Heap(location)
        } else {
            Location::Address(location & !ADDRESS)
        };
        let length = u32::try_from(length).ok()?;
        Some(Self { tag, location, length, begin: begin & !LENT, lent: begin & LENT != 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_its_words() {
        for (location, lent) in
            [(Location::Heap(4096), false), (Location::Address(0x7fff_0123_4567), true)]
        {
            let tag = Tag {
                sequence: u64::MAX,
                index: u32::MAX,
                op: Op::AllReduce,
                dtype: DType::Bf16,
                bytes: 1 << 40,
                key: 0xfedc_ba98_7654_3210,
            };
            let message = Message { tag, location, length: 77, begin: 1 << 39, lent };
            assert_eq!(Message::decode(message.encode()), Some(message));
        }
        assert_eq!(Message::decode([0; 7]), None);
        for (at, op) in Op::ALL.into_iter().enumerate() {
            assert_eq!(op as usize, at + 1);
        }
        for (at, dtype) in DType::ALL.into_iter().enumerate() {
            assert_eq!(dtype as usize, at);
        }
    }
}
