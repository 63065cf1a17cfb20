//! Bits into bytes, the first bit lowest (RFC 1951 3.1.1).

/// Writes bits into a slice. What does not fit is counted and not written: the end says whether there was room.
#[derive(Default)]
pub(crate) struct Bits<'a> {
    out: &'a mut [u8],
    at: usize,
    held: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    pub(crate) fn new(out: &'a mut [u8]) -> Self {
        Self { out, at: 0, held: 0, count: 0 }
    }

    /// Adds the low `count` bits of `bits`, whose other bits are zero. At most 57 between two flushes.
    #[inline]
    pub(crate) fn add(&mut self, bits: u64, count: u32) {
        self.held |= bits << (self.count & 63);
        self.count += count;
    }

    /// Writes all whole bytes.
    #[inline]
    pub(crate) fn flush(&mut self) {
        if let Some(next) = self.out.get_mut(self.at..).and_then(|rest| rest.first_chunk_mut::<8>()) {
            *next = self.held.to_le_bytes();
        }
        self.at += (self.count >> 3) as usize;
        self.held >>= self.count & !7 & 63;
        self.count &= 7;
    }

    /// Goes on at the next whole byte.
    pub(crate) fn align(&mut self) {
        self.count = (self.count + 7) & !7;
        self.flush();
    }

    /// Adds whole bytes, at a whole byte.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        if let Some(next) = self.out.get_mut(self.at..self.at + bytes.len()) {
            next.copy_from_slice(bytes);
        }
        self.at += bytes.len();
    }

    /// How many whole bytes there are, or would be.
    pub(crate) fn size(&self) -> usize {
        self.at
    }
}
