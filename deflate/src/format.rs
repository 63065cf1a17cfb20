//! The numbers of the format (RFC 1951), for the encoder that writes it and the walk that reads it.

/// The symbols of the main code: literals, the end of a block, lengths; two have no meaning.
pub(crate) const MAIN: usize = 288;
/// The symbols of the code for distances; two have no meaning.
pub(crate) const DISTANCES: usize = 32;
pub(crate) const END_OF_BLOCK: usize = 256;
/// The symbols for lengths, after the end of a block.
pub(crate) const LENGTHS: usize = 29;
pub(crate) const DISTANCES_USED: usize = 30;
/// The content of a stored block at most, in bytes (3.2.4).
pub(crate) const STORED: usize = 65_535;

/// The order of the lengths of the code for code lengths (3.2.7).
pub(crate) const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// The lengths of the codes that need no telling (3.2.6).
pub(crate) const FIXED_MAIN: [u8; MAIN] = {
    let mut lengths = [8; MAIN];
    let mut symbol = 144;
    while symbol < 280 {
        lengths[symbol] = if symbol < 256 { 9 } else { 7 };
        symbol += 1;
    }
    lengths
};
pub(crate) const FIXED_DISTANCES: [u8; DISTANCES] = [5; DISTANCES];

/// How often a symbol of the code for code lengths stands for a length at least, and the bits that say how much more
/// often (3.2.7).
pub(crate) const fn repeat(symbol: u8) -> (usize, u32) {
    match symbol {
        16 => (3, 2),
        17 => (3, 3),
        18 => (11, 7),
        _ => (1, 0),
    }
}

/// Where the lengths of a symbol begin, and how many extra bits it has (3.2.5). The first symbol after the end of a
/// block is 0 here.
pub(crate) const fn length_symbol(symbol: usize) -> (u16, u8) {
    match symbol {
        0..8 => (symbol as u16 + 3, 0),
        28 => (258, 0),
        _ => {
            let extra = (symbol / 4 - 1) as u8;
            ((((4 + symbol % 4) << extra) + 3) as u16, extra)
        }
    }
}

/// The same of a distance's symbol.
pub(crate) const fn distance_symbol(symbol: usize) -> (u16, u8) {
    if symbol < 4 {
        return (symbol as u16 + 1, 0);
    }
    let extra = (symbol / 2 - 1) as u8;
    ((((2 + symbol % 2) << extra) + 1) as u16, extra)
}
