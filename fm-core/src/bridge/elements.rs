//! The elements of tensors as slices.

use std::ffi::c_void;

use tch::{Device, Kind, Tensor};

use crate::error::{Error, Result};

unsafe extern "C" {
    fn fm_clear_gradient(tensor: *mut c_void);
}

/// Removes a tensor's gradient, so that the next one replaces it instead of being added to it.
pub(crate) fn clear_gradient(tensor: &mut Tensor) {
    // SAFETY: a tch tensor's pointer is an `at::Tensor*`.
    unsafe { fm_clear_gradient(tensor.as_ptr().cast_mut().cast()) }
}

/// Checks that a tensor's elements can be viewed as one slice.
fn check_elements(tensor: &Tensor, kind: Kind) -> Result<usize> {
    if tensor.kind() != kind || tensor.device() != Device::Cpu || tensor.is_sparse() || !tensor.is_contiguous() {
        let found = format!("{tensor:?} on {:?}", tensor.device());
        return Err(Error::shape("elements", format!("a contiguous {kind:?} tensor on the CPU"), found));
    }
    Ok(tensor.numel())
}

/// The elements of a contiguous float32 tensor on the CPU.
pub(crate) fn floats(tensor: &Tensor) -> Result<&[f32]> {
    match check_elements(tensor, Kind::Float)? {
        0 => Ok(&[]),
        // SAFETY: kind, device and layout were checked; the storage lives as long as the tensor.
        n => Ok(unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast::<f32>().cast_const(), n) }),
    }
}

/// The elements of a contiguous float32 tensor on the CPU, for changes in place. Tensors can share storage, which the
/// borrow checker does not see: do not hold another slice of the same storage at the same time.
pub(crate) fn floats_mut(tensor: &mut Tensor) -> Result<&mut [f32]> {
    match check_elements(tensor, Kind::Float)? {
        0 => Ok(&mut []),
        // SAFETY: see above; the callers, all in this crate, hold one slice of a storage at a time.
        n => Ok(unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast::<f32>(), n) }),
    }
}

/// The elements of a contiguous int64 tensor on the CPU.
pub(crate) fn integers(tensor: &Tensor) -> Result<&[i64]> {
    match check_elements(tensor, Kind::Int64)? {
        0 => Ok(&[]),
        // SAFETY: see above.
        n => Ok(unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast::<i64>().cast_const(), n) }),
    }
}

/// The elements of a contiguous int32 tensor on the CPU.
pub(crate) fn int32s(tensor: &Tensor) -> Result<&[i32]> {
    match check_elements(tensor, Kind::Int)? {
        0 => Ok(&[]),
        // SAFETY: see above.
        n => Ok(unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast::<i32>().cast_const(), n) }),
    }
}

/// The elements of a contiguous uint8 tensor on the CPU.
pub(crate) fn bytes(tensor: &Tensor) -> Result<&[u8]> {
    match check_elements(tensor, Kind::Uint8)? {
        0 => Ok(&[]),
        // SAFETY: see above.
        n => Ok(unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast::<u8>().cast_const(), n) }),
    }
}
