//! Tiles of a product: a few rows times a strip of columns, with all sums in registers.
//!
//! Owns the innermost loops. Invariant: each sum is one chain of fused multiply-adds from zero over the depth in
//! ascending order, whatever the tile's height, the width of the machine's vectors, and where the rows lie; then it is
//! stored or added. So a row has the same bits in every tile.

use crate::view::{View, ViewMut};
use pulp::{Arch, Simd, WithSimd};
use std::ops::Range;

/// Most rows of a tile on any machine.
const MOST_ROWS: usize = 12;
/// Most columns of a tile on any machine.
const MOST_COLUMNS: usize = 32;

/// Rows and vectors of a tile on machines with vectors of 16, 8 and 4 elements, and without: as many sums as registers hold
/// beside a line of the strip and one element of a row.
const ON_16: [usize; 2] = [12, 2];
const ON_8: [usize; 2] = [6, 2];
const ON_4: [usize; 2] = [6, 4];
const ON_1: [usize; 2] = [2, 16];

/// Steps of the depth that are computed without looking whether more are left.
const UNROLLED: usize = 4;
/// Steps of the depth by which the right-hand side is asked for ahead of its use: it comes from the second-level cache,
/// or for the first rows from memory.
const AHEAD: usize = 16;

/// What the result holds before the product is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Nothing: it is overwritten.
    Zero,
    /// Values to which the product is added.
    Given,
}

/// Where the rows of a tile lie.
#[derive(Clone, Copy)]
enum Rows<'a> {
    /// All rows' first elements, then all second ones, and so on.
    Packed(&'a [f32]),
    /// Row after row, so many elements from the begin of one to the begin of the next.
    Apart(&'a [f32], usize),
}

/// Columns of a strip on this machine, and of one vector.
pub(super) fn widths() -> [usize; 2] {
    struct Widths;
    impl WithSimd for Widths {
        type Output = [usize; 2];

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> [usize; 2] {
            let [_, vectors] = shape(S::F32_LANES);
            [vectors * S::F32_LANES, S::F32_LANES]
        }
    }
    Arch::new().dispatch(Widths)
}

/// Columns of a strip on this machine.
pub(super) fn strip() -> usize {
    widths()[0]
}

/// Rows and vectors of a tile.
const fn shape(lanes: usize) -> [usize; 2] {
    match lanes {
        16 => ON_16,
        8 => ON_8,
        4 => ON_4,
        _ => ON_1,
    }
}

/// Some rows times some strips that lie one behind the other.
pub(super) struct Tiles<'a> {
    /// The rows, `[rows, depth]`.
    pub x: View<'a>,
    /// The same packed by [`Pack`], if they are.
    pub packed: Option<&'a [f32]>,
    /// Strips, all of the same width.
    pub strips: &'a [f32],
    /// Their width, one of [`widths`].
    pub width: usize,
    /// `[rows, columns]`, where the last strip may have fewer columns than are computed.
    pub out: ViewMut<'a>,
    /// What `out` holds.
    pub start: Start,
}

impl WithSimd for Tiles<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match S::F32_LANES {
            lanes if self.width == lanes => self.run::<S, MOST_ROWS, 1>(simd),
            16 => self.run::<S, { ON_16[0] }, { ON_16[1] }>(simd),
            8 => self.run::<S, { ON_8[0] }, { ON_8[1] }>(simd),
            4 => self.run::<S, { ON_4[0] }, { ON_4[1] }>(simd),
            _ => self.run::<S, { ON_1[0] }, { ON_1[1] }>(simd),
        }
    }
}

impl Tiles<'_> {
    #[inline(always)]
    fn run<S: Simd, const ROWS: usize, const VECTORS: usize>(self, simd: S) {
        let Self { x, packed, strips, width, mut out, start } = self;
        let (depth, columns, stride) = (x.columns(), out.columns(), out.stride());
        // Rows are packed for tiles of whole strips.
        let most = if packed.is_some() { shape(S::F32_LANES)[0].min(ROWS) } else { ROWS };
        for rows in heights(x.height(), most) {
            let x = match packed {
                Some(packed) => Rows::Packed(&packed[rows.start * depth..rows.end * depth]),
                None => Rows::Apart(x.rows(rows.clone()).data(), x.stride()),
            };
            for (index, strip) in strips.chunks_exact(depth * width).enumerate() {
                let from = index * width;
                let wide = width.min(columns - from);
                let mut out = out.reborrow().rows(rows.clone()).slice_columns(from..from + wide);
                if wide == width {
                    let out = Out { first: out.data_mut(), stride, start };
                    of_height::<S, ROWS, VECTORS>(simd, rows.len(), x, strip, out);
                } else {
                    let mut whole = [0.0; MOST_ROWS * MOST_COLUMNS];
                    let sums = Out { first: &mut whole, stride: width, start: Start::Zero };
                    of_height::<S, ROWS, VECTORS>(simd, rows.len(), x, strip, sums);
                    for (row, sums) in (0..rows.len()).zip(whole.chunks_exact(width)) {
                        start.put(&sums[..wide], out.row_mut(row));
                    }
                }
            }
        }
    }
}

impl Start {
    /// Stores or adds.
    #[inline(always)]
    fn put(self, sums: &[f32], out: &mut [f32]) {
        match self {
            Self::Zero => out.copy_from_slice(sums),
            Self::Given => out.iter_mut().zip(sums).for_each(|(out, sum)| *out += sum),
        }
    }
}

/// Rows brought into the order in which tiles of this machine read them: for each tile the first elements of all its
/// rows, then the second ones, and so on.
pub(super) struct Pack<'a> {
    pub x: View<'a>,
    /// As many elements as `x` has.
    pub to: &'a mut [f32],
}

impl WithSimd for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let [most, _] = shape(S::F32_LANES);
        let depth = self.x.columns();
        for rows in heights(self.x.height(), most) {
            let height = rows.len();
            let to = &mut self.to[rows.start * depth..rows.end * depth];
            match height {
                12 => pack::<12>(self.x.rows(rows), to),
                6 => pack::<6>(self.x.rows(rows), to),
                4 => pack::<4>(self.x.rows(rows), to),
                2 => pack::<2>(self.x.rows(rows), to),
                _ => to.copy_from_slice(self.x.row(rows.start)),
            }
        }
    }
}

/// One tile's rows.
#[inline(always)]
fn pack<const ROWS: usize>(x: View<'_>, to: &mut [f32]) {
    let rows: [&[f32]; ROWS] = std::array::from_fn(|row| x.row(row));
    for (k, line) in to.as_chunks_mut::<ROWS>().0.iter_mut().enumerate() {
        for (x, row) in line.iter_mut().zip(rows) {
            *x = row[k];
        }
    }
}

/// Rows in tiles: as many of the highest as there are, then lower ones.
#[inline(always)]
fn heights(rows: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let fits = |height: &usize| *height <= most.min(rows - done);
        let height = HEIGHTS.into_iter().find(fits)?;
        done += height;
        Some(done - height..done)
    })
}

/// Heights of tiles; [`of_height`] has a case for each.
const HEIGHTS: [usize; 5] = [12, 6, 4, 2, 1];

/// Where a tile's result goes: its first element, and how far apart rows are.
struct Out<'a> {
    first: &'a mut [f32],
    stride: usize,
    start: Start,
}

/// A tile of one of [`HEIGHTS`], at most `MOST`.
#[inline(always)]
fn of_height<S: Simd, const MOST: usize, const VECTORS: usize>(
    simd: S,
    height: usize,
    rows: Rows<'_>,
    strip: &[f32],
    out: Out<'_>,
) {
    match height {
        12 if MOST >= 12 => tile::<S, 12, VECTORS>(simd, rows, strip, out),
        6 if MOST >= 6 => tile::<S, 6, VECTORS>(simd, rows, strip, out),
        4 if MOST >= 4 => tile::<S, 4, VECTORS>(simd, rows, strip, out),
        2 => tile::<S, 2, VECTORS>(simd, rows, strip, out),
        1 => tile::<S, 1, VECTORS>(simd, rows, strip, out),
        _ => unreachable!("a tile of {height} rows"),
    }
}

/// A strip of sums: per row its vectors.
type Sums<S, const ROWS: usize, const VECTORS: usize> = [[<S as Simd>::f32s; VECTORS]; ROWS];

/// `ROWS` rows times a strip of `VECTORS` vectors.
#[inline(always)]
fn tile<S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    rows: Rows<'_>,
    strip: &[f32],
    out: Out<'_>,
) {
    let Out { first: out, stride, start } = out;
    let strip = S::as_simd_f32s(strip).0.as_chunks::<VECTORS>().0;
    for row in 0..ROWS {
        prefetch(&raw const out[row * stride]);
    }
    let sums = match rows {
        Rows::Packed(rows) => packed::<S, ROWS, VECTORS>(simd, rows, strip),
        Rows::Apart(rows, apart) => strided::<S, ROWS, VECTORS>(simd, rows, apart, strip),
    };
    for (row, sums) in sums.iter().enumerate() {
        let out = &mut out[row * stride..][..VECTORS * S::F32_LANES];
        let out = S::as_mut_simd_f32s(out).0;
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = match start {
                Start::Zero => *sum,
                Start::Given => simd.add_f32s(*out, *sum),
            };
        }
    }
}

/// The sums of packed rows.
#[inline(always)]
fn packed<S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    rows: &[f32],
    strip: &[[S::f32s; VECTORS]],
) -> Sums<S, ROWS, VECTORS> {
    let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
    let (rows, rows_left) = rows.as_chunks::<ROWS>().0.as_chunks::<UNROLLED>();
    let (lines, lines_left) = strip.as_chunks::<UNROLLED>();
    for (rows, lines) in rows.iter().zip(lines) {
        for step in 0..UNROLLED {
            add(simd, &mut sums, |row| rows[step][row], &lines[step]);
        }
    }
    for (rows, line) in rows_left.iter().zip(lines_left) {
        add(simd, &mut sums, |row| rows[row], line);
    }
    sums
}

/// The sums of rows that lie apart.
#[inline(always)]
fn strided<S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    rows: &[f32],
    apart: usize,
    strip: &[[S::f32s; VECTORS]],
) -> Sums<S, ROWS, VECTORS> {
    let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
    let (lines, lines_left) = strip.as_chunks::<UNROLLED>();
    let rows: [&[f32]; ROWS] = std::array::from_fn(|row| &rows[row * apart..][..strip.len()]);
    let chunks = rows.map(|row| &row.as_chunks::<UNROLLED>().0[..lines.len()]);
    for (at, lines) in lines.iter().enumerate() {
        for step in 0..UNROLLED {
            add(simd, &mut sums, |row| chunks[row][at][step], &lines[step]);
        }
    }
    let left = rows.map(|row| &row[lines.len() * UNROLLED..][..lines_left.len()]);
    for (at, line) in lines_left.iter().enumerate() {
        add(simd, &mut sums, |row| left[row][at], line);
    }
    sums
}

/// One step of the depth.
#[inline(always)]
fn add<S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    sums: &mut Sums<S, ROWS, VECTORS>,
    x: impl Fn(usize) -> f32,
    line: &[S::f32s; VECTORS],
) {
    /// Elements of a line of the cache.
    const LINE: usize = 16;
    for at in (0..VECTORS * S::F32_LANES).step_by(LINE) {
        prefetch((&raw const *line).wrapping_add(AHEAD).cast::<f32>().wrapping_add(at));
    }
    for (row, sums) in sums.iter_mut().enumerate() {
        let x = simd.splat_f32s(x(row));
        for (sum, w) in sums.iter_mut().zip(line) {
            *sum = simd.mul_add_f32s(x, *w, *sum);
        }
    }
}

/// Asks for a line of memory to be brought into the first-level cache.
#[inline(always)]
fn prefetch(at: *const f32) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        #[expect(unsafe_code, reason = "the hint has no safe interface")]
        // SAFETY: a prefetch reads nothing that the program sees and faults on no address, also on one outside the buffer;
        // every x86-64 processor has it.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(at.cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
