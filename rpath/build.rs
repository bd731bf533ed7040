//! Lets this crate's executables find libtorch from any folder.
fn main() {
    if let Ok(lib) = std::env::var("DEP_FM_CORE_NATIVE_LIBTORCH_LIB") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
    }
}
