//! Reads the graph of a traced module.

use std::ffi::{c_char, c_void};

use tch::Tensor;

use super::check;
use super::script::TracedModule;
use crate::error::{Error, Result};

unsafe extern "C" {
    fn fm_module_graph(
        module: *mut c_void,
        receive_text: unsafe extern "C" fn(*mut c_void, *const c_char, usize),
        receive_tensor: unsafe extern "C" fn(*mut c_void, *mut c_void),
        context: *mut c_void,
    ) -> *mut c_char;
}

#[derive(Default)]
struct Received {
    text: Vec<u8>,
    tensors: Vec<Tensor>,
}

impl TracedModule {
    /// The operations of `forward` as JSON, and their constant tensors. `native/graph.cpp` documents the format.
    pub(crate) fn graph(&self) -> Result<(String, Vec<Tensor>)> {
        unsafe extern "C" fn receive_text(context: *mut c_void, bytes: *const c_char, length: usize) {
            // SAFETY: the context is the `Received` below. C++ passes `length` bytes, and at least one.
            unsafe {
                (*context.cast::<Received>()).text.extend_from_slice(std::slice::from_raw_parts(bytes.cast(), length))
            }
        }
        unsafe extern "C" fn receive_tensor(context: *mut c_void, tensor: *mut c_void) {
            // SAFETY: see above. The clone shares the tensor's storage and keeps it alive.
            unsafe { (*context.cast::<Received>()).tensors.push(Tensor::clone_from_ptr(tensor.cast())) }
        }
        let mut received = Received::default();
        // SAFETY: the module is alive, and both functions receive `received` only during the call.
        check(unsafe { fm_module_graph(self.0, receive_text, receive_tensor, (&raw mut received).cast()) })?;
        let text =
            String::from_utf8(received.text).map_err(|_| Error::Torch("the text of a graph is not UTF-8".into()))?;
        Ok((text, received.tensors))
    }
}
