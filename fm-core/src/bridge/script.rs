//! TorchScript modules: tracing and saving.

use std::ffi::{c_char, c_int, c_void};
use std::io::Write;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tch::Tensor;

use super::{c_string, check, pointers};
use crate::atomic_file::WriteError;
use crate::error::{Error, Result};

unsafe extern "C" {
    fn fm_module_new(
        class_name: *const c_char,
        n_parameters: c_int,
        names: *const *const c_char,
        tensors: *const *const c_void,
        module: *mut *mut c_void,
    ) -> *mut c_char;
    fn fm_module_trace(
        module: *mut c_void,
        method: *const c_char,
        n_inputs: c_int,
        input_names: *const *const c_char,
        inputs: *const *const c_void,
        function: unsafe extern "C" fn(*mut c_void, *mut *mut c_void, *mut *mut c_void) -> bool,
        context: *mut c_void,
    ) -> *mut c_char;
    fn fm_module_define(module: *mut c_void, source: *const c_char) -> *mut c_char;
    fn fm_module_wrap(
        inner: *mut c_void,
        class_name: *const c_char,
        source: *const c_char,
        module: *mut *mut c_void,
    ) -> *mut c_char;
    fn fm_module_set_buffer(module: *mut c_void, name: *const c_char, tensor: *const c_void) -> *mut c_char;
    fn fm_module_set_integers(module: *mut c_void, name: *const c_char, n: usize, numbers: *const i64) -> *mut c_char;
    fn fm_module_set_floats(module: *mut c_void, name: *const c_char, n: usize, numbers: *const f64) -> *mut c_char;
    fn fm_module_set_text(module: *mut c_void, name: *const c_char, text: *const Text<'_>) -> *mut c_char;
    fn fm_module_set_texts(module: *mut c_void, name: *const c_char, n: usize, texts: *const Text<'_>) -> *mut c_char;
    fn fm_module_set_indexes(
        module: *mut c_void,
        name: *const c_char,
        n: usize,
        first_numbers: *const i64,
        lengths: *const usize,
        texts: *const Text<'_>,
    ) -> *mut c_char;
    fn fm_module_run(
        module: *mut c_void,
        method: *const c_char,
        n_inputs: c_int,
        inputs: *const *const c_void,
        output: *mut *mut c_void,
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
}

/// A TorchScript module whose methods are traced.
#[derive(Debug)]
pub(crate) struct TracedModule(pub(super) *mut c_void);

impl Drop for TracedModule {
    fn drop(&mut self) {
        // SAFETY: the pointer comes from `fm_module_new` or `fm_module_wrap`, and is freed only here.
        unsafe { fm_module_free(self.0) }
    }
}

/// The traced function and its error.
type Traced<'a> = dyn FnMut(&[Tensor]) -> Result<Tensor> + 'a;

struct TraceContext<'a> {
    function: &'a mut Traced<'a>,
    n_inputs: usize,
    error: Option<Error>,
}

/// Calls the function of a [`TraceContext`].
unsafe extern "C" fn call_traced(context: *mut c_void, inputs: *mut *mut c_void, output: *mut *mut c_void) -> bool {
    // SAFETY: `fm_module_trace` passes a context, and as many tensors as inputs.
    let (context, tensors) = unsafe {
        let context = &mut *context.cast::<TraceContext<'_>>();
        let inputs = std::slice::from_raw_parts(inputs, context.n_inputs);
        (context, inputs.iter().map(|&input| Tensor::clone_from_ptr(input.cast())).collect::<Vec<_>>())
    };
    // A panic must not unwind through C++.
    match catch_unwind(AssertUnwindSafe(|| (context.function)(&tensors))) {
        Ok(Ok(tensor)) => {
            // C++ now owns the tensor.
            let tensor = std::mem::ManuallyDrop::new(tensor);
            // SAFETY: `output` points to a variable of `fm_module_trace`.
            unsafe { *output = tensor.as_ptr().cast_mut().cast() };
            return true;
        }
        Ok(Err(error)) => context.error = Some(error),
        Err(_) => context.error = Some(Error::Torch("the model panicked during tracing".into())),
    }
    false
}

/// A string in the form of `native/script.cpp`.
#[repr(C)]
struct Text<'a> {
    bytes: *const c_char,
    length: usize,
    text: PhantomData<&'a str>,
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Text<'a> {
        Text { bytes: text.as_ptr().cast(), length: text.len(), text: PhantomData }
    }
}

/// An attribute of a module that is not a parameter.
pub(crate) enum Attribute<'a> {
    /// A tensor that moves with the module.
    Buffer(Tensor),
    Integers(Vec<i64>),
    Floats(Vec<f64>),
    Text(&'a str),
    Texts(Vec<&'a str>),
    /// A dictionary per list of texts, from a text to its position plus the given number.
    Indexes(Vec<(i64, &'a [String])>),
}

impl TracedModule {
    /// A module with `parameters` under their dotted names, and without methods.
    pub(crate) fn new(class_name: &str, parameters: &[(String, Tensor)]) -> Result<TracedModule> {
        let class_name = c_string(class_name)?;
        let names = parameters.iter().map(|(name, _)| c_string(name)).collect::<Result<Vec<_>>>()?;
        let tensors: Vec<*const c_void> = parameters.iter().map(|(_, tensor)| tensor.as_ptr().cast()).collect();
        let (n, mut module) = (names.len() as c_int, std::ptr::null_mut());
        // SAFETY: the arrays have the given length and outlive the call. A tch tensor's pointer is an `at::Tensor*`.
        check(unsafe {
            let names = pointers(&names);
            fm_module_new(class_name.as_ptr(), n, names.as_ptr(), tensors.as_ptr(), &raw mut module)
        })?;
        Ok(TracedModule(module))
    }

    /// Adds a method: the operations of `function` on `inputs`. The tracer is closed even if `function` fails or panics.
    pub(crate) fn trace<'a>(
        &mut self,
        method: &str,
        inputs: &[(&str, &Tensor)],
        function: &'a mut Traced<'a>,
    ) -> Result<()> {
        let method = c_string(method)?;
        let input_names = inputs.iter().map(|(name, _)| c_string(name)).collect::<Result<Vec<_>>>()?;
        let tensors: Vec<*const c_void> = inputs.iter().map(|(_, tensor)| tensor.as_ptr().cast()).collect();
        let mut context = TraceContext { function, n_inputs: inputs.len(), error: None };
        // SAFETY: the module is alive, and all arrays have the given lengths and outlive the call. `call_traced` receives `context`.
        let error = unsafe {
            fm_module_trace(
                self.0,
                method.as_ptr(),
                inputs.len() as c_int,
                pointers(&input_names).as_ptr(),
                tensors.as_ptr(),
                call_traced,
                (&raw mut context).cast(),
            )
        };
        let result = check(error);
        context.error.take().map_or(result, Err)
    }

    /// Adds methods from TorchScript source.
    pub(crate) fn define(&mut self, source: &str) -> Result<()> {
        let source = c_string(source)?;
        // SAFETY: the module is alive, and the string is zero-terminated.
        check(unsafe { fm_module_define(self.0, source.as_ptr()) })
    }

    /// A module with this one as its submodule `model`, and with methods from TorchScript source.
    pub(crate) fn wrap(&self, class_name: &str, source: &str) -> Result<TracedModule> {
        let (class_name, source) = (c_string(class_name)?, c_string(source)?);
        let mut module = std::ptr::null_mut();
        // SAFETY: the module is alive, and the strings are zero-terminated.
        check(unsafe { fm_module_wrap(self.0, class_name.as_ptr(), source.as_ptr(), &raw mut module) })?;
        Ok(TracedModule(module))
    }

    /// Adds an attribute.
    pub(crate) fn set(&mut self, name: &str, attribute: &Attribute<'_>) -> Result<()> {
        let (name, module) = (c_string(name)?, self.0);
        let name = name.as_ptr();
        // SAFETY, for all arms: the module is alive, the name is zero-terminated, arrays have the given lengths, and C++ copies them.
        check(match attribute {
            Attribute::Buffer(tensor) => unsafe { fm_module_set_buffer(module, name, tensor.as_ptr().cast()) },
            Attribute::Integers(numbers) => unsafe {
                fm_module_set_integers(module, name, numbers.len(), numbers.as_ptr())
            },
            Attribute::Floats(numbers) => unsafe {
                fm_module_set_floats(module, name, numbers.len(), numbers.as_ptr())
            },
            Attribute::Text(text) => unsafe { fm_module_set_text(module, name, &Text::from(*text)) },
            Attribute::Texts(texts) => {
                let texts: Vec<Text<'_>> = texts.iter().map(|text| Text::from(*text)).collect();
                unsafe { fm_module_set_texts(module, name, texts.len(), texts.as_ptr()) }
            }
            Attribute::Indexes(indexes) => {
                let (first_numbers, texts): (Vec<i64>, Vec<&[String]>) = indexes.iter().copied().unzip();
                let lengths: Vec<usize> = texts.iter().map(|texts| texts.len()).collect();
                let texts: Vec<Text<'_>> =
                    texts.iter().copied().flatten().map(|text| Text::from(text.as_str())).collect();
                unsafe {
                    fm_module_set_indexes(
                        module,
                        name,
                        indexes.len(),
                        first_numbers.as_ptr(),
                        lengths.as_ptr(),
                        texts.as_ptr(),
                    )
                }
            }
        })
    }

    /// Runs a method, without gradients.
    pub(crate) fn run(&self, method: &str, inputs: &[&Tensor]) -> Result<Tensor> {
        let method = c_string(method)?;
        let inputs: Vec<*const c_void> = inputs.iter().map(|input| input.as_ptr().cast()).collect();
        let mut output = std::ptr::null_mut();
        // SAFETY: the module and the tensors are alive, and the array has the given length.
        check(unsafe {
            fm_module_run(self.0, method.as_ptr(), inputs.len() as c_int, inputs.as_ptr(), &raw mut output)
        })?;
        // SAFETY: on success, the output is a new `at::Tensor*`, which this function owns.
        Ok(unsafe { Tensor::from_ptr(output.cast()) })
    }

    /// Writes the archive with extra files.
    pub(crate) fn save(&self, file: &mut dyn Write, files: &[(&str, &str)]) -> std::result::Result<(), WriteError> {
        struct Output<'a> {
            file: &'a mut dyn Write,
            result: std::io::Result<()>,
        }
        unsafe extern "C" fn write(context: *mut c_void, bytes: *const c_char, length: usize) {
            // SAFETY: the context is the output below, and C++ passes `length` bytes.
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
        // SAFETY: the module is alive, the arrays have the given lengths, and `write` receives `output` only during the
        // call.
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
