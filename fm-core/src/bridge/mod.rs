//! The interface to C++: all `unsafe` code for tensors, behind safe functions.
#![allow(unsafe_code, reason = "tch has no safe access to the elements of a tensor or to the tracer")]

mod autocast;
mod autograd;
mod elements;
mod graph;
mod group;
mod precision;
mod script;

use std::ffi::{CStr, CString, c_char};

use crate::error::{Error, Result, first_line};

pub(crate) use autocast::{is_mixed, mixed};
pub(crate) use autograd::attach;
pub(crate) use elements::{bytes, clear_gradient, floats, floats_mut, int32s, integers};
pub(crate) use group::{RawGroup, Rendezvous};
pub(crate) use script::{Attribute, TracedModule};

unsafe extern "C" {
    fn fm_free_error(text: *mut c_char);
}

/// Converts an error message of `native/` and frees it.
fn check(error: *mut c_char) -> Result<()> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: a non-null result is a C string from `strdup`, which this function owns.
    let text = unsafe {
        let text = CStr::from_ptr(error).to_string_lossy().into_owned();
        fm_free_error(error);
        text
    };
    Err(Error::Torch(first_line(&text)))
}

fn c_string(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| Error::Torch(format!("`{text}` contains a zero byte")))
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).collect()
}

/// Loads libtorch's CUDA library if it is installed. The linker omits it from an executable that uses none of its
/// symbols, so that the same executable runs on machines without CUDA.
pub(crate) fn load_cuda_library() {
    // SAFETY: loading runs the library's initialisers, as libtorch intends. A failure returns null.
    unsafe {
        libc::dlopen(c"libtorch_cuda.so".as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL);
    }
}

/// Ends this process without destructors.
pub(crate) fn end_process(code: u8) -> ! {
    // SAFETY: the operating system takes back what the process holds; nothing of it is used afterwards.
    unsafe { libc::_exit(code.into()) }
}
