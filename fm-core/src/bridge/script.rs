//! TorchScript modules: traced, saved, looked into.

use std::ffi::{c_char, c_int, c_void};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use tch::Tensor;

use super::{c_path, c_string, check, pointers};
use crate::atomic_file::WriteError;
use crate::error::{Error, Result};

unsafe extern "C" {
    fn fm_trace(
        class_name: *const c_char,
        n_parameters: c_int,
        names: *const *const c_char,
        tensors: *const *const c_void,
        n_inputs: c_int,
        input_names: *const *const c_char,
        inputs: *const *const c_void,
        function: unsafe extern "C" fn(*mut c_void, *mut *mut c_void, *mut *mut c_void) -> bool,
        context: *mut c_void,
        module: *mut *mut c_void,
    ) -> *mut c_char;
    fn fm_module_free(module: *mut c_void);
    fn fm_module_save(
        module: *mut c_void,
        n_files: c_int,
        names: *const *const c_char,
        contents: *const *const c_char,
        lengths: *const usize,
        write: unsafe extern "C" fn(*mut c_void, *const c_char, usize),
        context: *mut c_void,
    ) -> *mut c_char;
    fn fm_archive_read(
        path: *const c_char,
        name: *const c_char,
        receive: unsafe extern "C" fn(*mut c_void, *const c_char, usize),
        context: *mut c_void,
    ) -> *mut c_char;
}

/// A TorchScript module made by [`trace`].
pub(crate) struct TracedModule(pub(super) *mut c_void);

impl Drop for TracedModule {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `fm_trace` and is freed here alone.
        unsafe { fm_module_free(self.0) }
    }
}

/// What `forward` does while it is traced.
type Traced<'a> = dyn FnMut(&[Tensor]) -> Result<Tensor> + 'a;

struct TraceContext<'a> {
    function: &'a mut Traced<'a>,
    n_inputs: usize,
    error: Option<Error>,
}

/// Runs `function` on `inputs` under the tracer; its operations become the `forward` of a module that holds
/// `parameters` under their dotted names. The tracer is closed however `function` ends.
pub(crate) fn trace<'a>(
    class_name: &str,
    parameters: &[(String, Tensor)],
    inputs: &[(&str, &Tensor)],
    function: &'a mut Traced<'a>,
) -> Result<TracedModule> {
    unsafe extern "C" fn call(context: *mut c_void, inputs: *mut *mut c_void, output: *mut *mut c_void) -> bool {
        // SAFETY: `fm_trace` passes on the context that it was given below, and as many tensors as inputs.
        let (context, tensors) = unsafe {
            let context = &mut *context.cast::<TraceContext<'_>>();
            let inputs = std::slice::from_raw_parts(inputs, context.n_inputs);
            (context, inputs.iter().map(|&input| Tensor::clone_from_ptr(input.cast())).collect::<Vec<_>>())
        };
        // A panic must not unwind through C++.
        match catch_unwind(AssertUnwindSafe(|| (context.function)(&tensors))) {
            Ok(Ok(tensor)) => {
                // The C++ side owns the tensor from here on.
                let tensor = std::mem::ManuallyDrop::new(tensor);
                // SAFETY: `output` points to a variable of `fm_trace`.
                unsafe { *output = tensor.as_ptr().cast_mut().cast() };
                return true;
            }
            Ok(Err(error)) => context.error = Some(error),
            Err(_) => context.error = Some(Error::Torch("the model panicked while it was traced".into())),
        }
        false
    }

    let class_name = c_string(class_name)?;
    let names = parameters.iter().map(|(name, _)| c_string(name)).collect::<Result<Vec<_>>>()?;
    let tensors: Vec<*const c_void> = parameters.iter().map(|(_, tensor)| tensor.as_ptr().cast()).collect();
    let input_names = inputs.iter().map(|(name, _)| c_string(name)).collect::<Result<Vec<_>>>()?;
    let input_tensors: Vec<*const c_void> = inputs.iter().map(|(_, tensor)| tensor.as_ptr().cast()).collect();
    let mut context = TraceContext { function, n_inputs: inputs.len(), error: None };
    let mut module = std::ptr::null_mut();
    // SAFETY: all arrays are as long as their counts say and outlive the call; a tch tensor's pointer is an
    // `at::Tensor*`; `call` receives `context` back.
    let error = unsafe {
        fm_trace(
            class_name.as_ptr(),
            names.len() as c_int,
            pointers(&names).as_ptr(),
            tensors.as_ptr(),
            inputs.len() as c_int,
            pointers(&input_names).as_ptr(),
            input_tensors.as_ptr(),
            call,
            (&raw mut context).cast(),
            &raw mut module,
        )
    };
    let result = check(error);
    if let Some(error) = context.error.take() {
        return Err(error);
    }
    result.map(|()| TracedModule(module))
}

impl TracedModule {
    /// Writes the archive with extra files.
    pub(crate) fn save(&self, file: &mut dyn Write, files: &[(&str, &str)]) -> std::result::Result<(), WriteError> {
        struct Output<'a> {
            file: &'a mut dyn Write,
            result: std::io::Result<()>,
        }
        unsafe extern "C" fn write(context: *mut c_void, bytes: *const c_char, length: usize) {
            // SAFETY: the context is the output below; C++ passes as many bytes as it says.
            let (output, bytes) =
                unsafe { (&mut *context.cast::<Output<'_>>(), std::slice::from_raw_parts(bytes.cast::<u8>(), length)) };
            if output.result.is_ok() {
                output.result = output.file.write_all(bytes);
            }
        }
        let names = files.iter().map(|(name, _)| c_string(name)).collect::<Result<Vec<_>>>()?;
        let contents: Vec<*const c_char> = files.iter().map(|(_, text)| text.as_ptr().cast()).collect();
        let lengths: Vec<usize> = files.iter().map(|(_, text)| text.len()).collect();
        let mut output = Output { file, result: Ok(()) };
        // SAFETY: the module is alive, the arrays are as long as the count says, and `write` gets `output` back during
        // the call alone.
        check(unsafe {
            fm_module_save(
                self.0,
                files.len() as c_int,
                pointers(&names).as_ptr(),
                contents.as_ptr(),
                lengths.as_ptr(),
                write,
                (&raw mut output).cast(),
            )
        })?;
        Ok(output.result?)
    }
}

/// Reads an extra file of a TorchScript archive, without loading or running the rest.
pub(crate) fn read_extra_file(path: &Path, name: &str) -> Result<Vec<u8>> {
    unsafe extern "C" fn receive(context: *mut c_void, bytes: *const c_char, length: usize) {
        if length == 0 {
            // An empty file may come as a null pointer, which no slice may have.
            return;
        }
        // SAFETY: the context is the vector below; C++ passes as many bytes as it says.
        unsafe { (*context.cast::<Vec<u8>>()).extend_from_slice(std::slice::from_raw_parts(bytes.cast(), length)) }
    }
    let (path, name) = (c_path(path)?, c_string(name)?);
    let mut bytes: Vec<u8> = Vec::new();
    // SAFETY: `receive` gets `bytes` back during the call alone.
    check(unsafe { fm_archive_read(path.as_ptr(), name.as_ptr(), receive, (&raw mut bytes).cast()) })?;
    Ok(bytes)
}
