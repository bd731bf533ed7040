//! Custom functions in the graph of autograd.

use std::ffi::{CString, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use tch::Tensor;

use super::check;
use crate::error::{Error, Result};

type Call = unsafe extern "C" fn(*mut c_void, *const *const c_void, usize, *mut *mut c_void) -> *mut c_char;

unsafe extern "C" {
    fn fm_autograd_attach(
        inputs: *const *const c_void,
        n_inputs: usize,
        outputs: *const *const c_void,
        n_outputs: usize,
        context: *mut c_void,
        call: Call,
        drop: unsafe extern "C" fn(*mut c_void),
    ) -> *mut c_char;
}

/// The gradients of the inputs, given those of the outputs; `None` is zero.
pub(crate) type Backward = dyn Fn(&[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> + Send;

/// The data of a node of the graph.
struct Context {
    /// The shape of each input.
    inputs: Vec<Vec<i64>>,
    n_outputs: usize,
    backward: Box<Backward>,
}

impl Context {
    fn run(&self, gradients: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        let found = catch_unwind(AssertUnwindSafe(|| (self.backward)(gradients)))
            .map_err(|_| Error::Torch("a backward pass panicked".into()))??;
        if found.len() != self.inputs.len() {
            let expected = format!("gradients of {} inputs", self.inputs.len());
            return Err(Error::shape("autograd", expected, found.len().to_string()));
        }
        for (gradient, shape) in found.iter().zip(&self.inputs) {
            // libtorch would silently sum a gradient whose shape the input's shape expands to.
            if let Some(size) = gradient.as_ref().map(Tensor::size).filter(|size| size != shape) {
                return Err(Error::shape("autograd", format!("a gradient of shape {shape:?}"), format!("{size:?}")));
            }
        }
        Ok(found)
    }
}

/// Makes `outputs`, computed without gradients, the results of a function of `inputs` in the graph of autograd.
pub(crate) fn attach(inputs: &[&Tensor], outputs: &[Tensor], backward: Box<Backward>) -> Result<()> {
    unsafe extern "C" fn call(
        context: *mut c_void,
        gradients: *const *const c_void,
        n_results: usize,
        results: *mut *mut c_void,
    ) -> *mut c_char {
        // SAFETY: the node passes its context, which it has not dropped yet, and one gradient per output, which is null
        // or an `at::Tensor*` that outlives the call.
        let (context, gradients) = unsafe {
            let context = &*context.cast::<Context>();
            (context, std::slice::from_raw_parts(gradients, context.n_outputs))
        };
        let given = gradients.iter().map(|&gradient| {
            // SAFETY: see above; the clone is another handle.
            (!gradient.is_null()).then(|| unsafe { Tensor::clone_from_ptr(gradient.cast_mut().cast()) })
        });
        let given: Vec<Option<Tensor>> = given.collect();
        debug_assert_eq!(n_results, context.inputs.len());
        match context.run(&given) {
            Ok(found) => {
                for (input, gradient) in found.into_iter().enumerate().filter_map(|(i, found)| Some((i, found?))) {
                    // The node now owns the tensor.
                    let gradient = std::mem::ManuallyDrop::new(gradient);
                    // SAFETY: `results` has `n_results` elements, one per input, and `run` returns as many gradients.
                    unsafe { *results.add(input) = gradient.as_ptr().cast_mut().cast() };
                }
                std::ptr::null_mut()
            }
            Err(error) => {
                let text = CString::new(error.to_string().replace('\0', "")).unwrap_or_default();
                // SAFETY: the text is zero-terminated. The node frees the copy.
                unsafe { libc::strdup(text.as_ptr()) }
            }
        }
    }
    unsafe extern "C" fn drop_context(context: *mut c_void) {
        // SAFETY: the pointer comes from `Box::into_raw` below, and the node calls this once. A panic in a destructor
        // must not unwind through C++.
        let context = unsafe { Box::from_raw(context.cast::<Context>()) };
        let _ = catch_unwind(AssertUnwindSafe(|| drop(context)));
    }
    let pointers = |tensor: &Tensor| tensor.as_ptr().cast::<c_void>();
    let shapes = inputs.iter().map(|tensor| tensor.size()).collect();
    let inputs: Vec<*const c_void> = inputs.iter().map(|tensor| pointers(tensor)).collect();
    let of_outputs: Vec<*const c_void> = outputs.iter().map(pointers).collect();
    let context = Box::into_raw(Box::new(Context { inputs: shapes, n_outputs: outputs.len(), backward }));
    // SAFETY: a tch tensor's pointer is an `at::Tensor*`; the arrays have the given lengths and outlive the call; C++
    // takes ownership of the context.
    check(unsafe {
        fm_autograd_attach(
            inputs.as_ptr(),
            inputs.len(),
            of_outputs.as_ptr(),
            of_outputs.len(),
            context.cast(),
            call,
            drop_context,
        )
    })
}
