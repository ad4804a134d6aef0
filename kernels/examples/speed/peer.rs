//! The peer of the products: the `gemm` crate, given the same weights as it likes them best.

/// Weights `[outputs, inputs]` as `[inputs, outputs]`, with which the library is fastest.
pub fn turned(weight: &[f32], inputs: usize) -> Vec<f32> {
    let outputs = weight.len() / inputs;
    (0..inputs).flat_map(|k| (0..outputs).map(move |column| weight[column * inputs + k])).collect()
}

/// `out = x w`, with x `[rows, depth]` and w `[depth, columns]`.
#[expect(unsafe_code, reason = "the library's only interface")]
pub fn product(x: &[f32], w: &[f32], [rows, depth, columns]: [usize; 3], out: &mut [f32]) {
    assert_eq!([x.len(), w.len(), out.len()], [rows * depth, depth * columns, rows * columns]);
    let [depth_stride, column_stride] = [depth, columns].map(|n| n.try_into().expect("it fits"));
    // SAFETY: the lengths were checked, the strides are those of dense matrices, and `out` overlaps neither operand.
    unsafe {
        gemm::gemm(
            columns,
            rows,
            depth,
            out.as_mut_ptr(),
            column_stride,
            1,
            false,
            w.as_ptr(),
            column_stride,
            1,
            x.as_ptr(),
            depth_stride,
            1,
            1.0_f32,
            1.0_f32,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
