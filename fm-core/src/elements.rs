//! The elements of tensors on the CPU as slices, for kernels written in Rust.

use tch::{Device, Kind, Tensor};

use crate::bridge;
use crate::error::Result;

/// The elements of a contiguous float32 tensor on the CPU. Nothing may write into its storage while the slice is in
/// use: libtorch shares storage between tensors, which the borrow checker does not see.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) for any other tensor.
pub fn floats(tensor: &Tensor) -> Result<&[f32]> {
    bridge::floats(tensor)
}

/// A new float32 tensor of this shape on the CPU, whose elements are zero until `fill` sets them.
///
/// # Errors
/// [`Error::Torch`](crate::Error::Torch) if memory is insufficient; errors of `fill`.
///
/// ```
/// let tensor = fm_core::elements::filled(&[2, 2], |numbers| {
///     numbers[3] = 1.5;
///     Ok(())
/// })?;
/// assert_eq!(Vec::<Vec<f32>>::try_from(tensor)?, [[0.0, 0.0], [0.0, 1.5]]);
/// # Ok::<(), fm_core::Error>(())
/// ```
pub fn filled(shape: &[i64], fill: impl FnOnce(&mut [f32]) -> Result<()>) -> Result<Tensor> {
    let mut tensor = Tensor::f_zeros(shape, (Kind::Float, Device::Cpu))?;
    fill(bridge::floats_mut(&mut tensor)?)?;
    Ok(tensor)
}
