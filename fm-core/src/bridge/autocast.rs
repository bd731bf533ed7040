//! Mixed precision.

use std::ffi::c_char;

use tch::Device;

use super::check;
use crate::error::Result;

unsafe extern "C" {
    fn fm_is_autocast(cuda: bool) -> bool;
    fn fm_enter_autocast(cuda: bool) -> *mut c_char;
    fn fm_leave_autocast(cuda: bool) -> *mut c_char;
}

/// Whether operations on this kind of device compute in bfloat16 where they lose little by it.
pub(crate) fn is_mixed(device: Device) -> bool {
    // SAFETY: it reads a number of this thread.
    unsafe { fm_is_autocast(device.is_cuda()) }
}

/// Runs `compute` with operations that compute in bfloat16 where they lose little by it. Not to be nested.
///
/// # Errors
/// [`Error::Torch`](crate::Error::Torch); what `compute` returns.
pub(crate) fn mixed<T>(device: Device, compute: impl FnOnce() -> Result<T>) -> Result<T> {
    /// Left when it is dropped, so that a panic does not stay in it.
    struct Entered(bool);
    impl Drop for Entered {
        fn drop(&mut self) {
            // SAFETY: it was entered on this thread. There is nobody to tell of an error.
            let _ = check(unsafe { fm_leave_autocast(self.0) });
        }
    }
    let cuda = device.is_cuda();
    // SAFETY: it sets numbers of this thread.
    check(unsafe { fm_enter_autocast(cuda) })?;
    let _entered = Entered(cuda);
    compute()
}
