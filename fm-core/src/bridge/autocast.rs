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

/// Whether mixed precision is active on this kind of device.
pub(crate) fn is_mixed(device: Device) -> bool {
    // SAFETY: reads a thread-local number.
    unsafe { fm_is_autocast(device.is_cuda()) }
}

/// Runs `compute` in mixed precision. Do not nest calls.
///
/// # Errors
/// [`Error::Torch`](crate::Error::Torch), and errors of `compute`.
pub(crate) fn mixed<T>(device: Device, compute: impl FnOnce() -> Result<T>) -> Result<T> {
    /// Ends mixed precision on drop, even after a panic.
    struct Entered(bool);
    impl Drop for Entered {
        fn drop(&mut self) {
            // SAFETY: mixed precision was entered on this thread. Errors cannot be reported from here.
            let _ = check(unsafe { fm_leave_autocast(self.0) });
        }
    }
    let cuda = device.is_cuda();
    // SAFETY: sets thread-local numbers.
    check(unsafe { fm_enter_autocast(cuda) })?;
    let _entered = Entered(cuda);
    compute()
}
