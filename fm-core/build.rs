//! Checks that libtorch is the version that tch binds, compiles `native/` against it, and tells dependent crates where
//! it is (`DEP_FM_CORE_NATIVE_LIBTORCH_LIB`).

use std::io::Write;
use std::path::{Path, PathBuf};

const LIBTORCH_VERSION: &str = "2.11.0";

fn main() {
    println!("cargo:rerun-if-changed=native");
    println!("cargo:rerun-if-changed=build.rs");
    // `torch-sys` exports the folder that it links to.
    let lib = PathBuf::from(
        std::env::var("DEP_TCH_LIBTORCH_LIB")
            .unwrap_or_else(|_| fail("torch-sys did not say where libtorch is; run `make setup`, or set LIBTORCH")),
    );
    let include = match std::env::var_os("LIBTORCH_INCLUDE") {
        Some(dir) => PathBuf::from(dir).join("include"),
        None => lib.parent().unwrap_or(Path::new("/")).join("include"),
    };
    let found = version(&include);
    if found != LIBTORCH_VERSION {
        fail(&format!(
            "libtorch {LIBTORCH_VERSION} is needed, but {} has {found}; unset LIBTORCH and run `make setup`",
            include.display()
        ));
    }
    println!("cargo:libtorch_lib={}", lib.display());
    println!("cargo:rustc-env=FM_LIBTORCH_LIB={}", lib.display());
    println!("cargo:rustc-env=FM_LIBTORCH_VERSION={found}");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .warnings(false)
        .include(&include)
        // For declarations of gloo.
        .include("native")
        .include(include.join("torch/csrc/api/include"))
        // The bridge only passes calls on.
        .opt_level(1)
        .file("native/bridge.cpp")
        .compile("fm_core_native");
}

fn version(include: &Path) -> String {
    let header = include.join("torch/headeronly/version.h");
    let text = std::fs::read_to_string(header).unwrap_or_default();
    let part = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(&format!("#define {name} ")))?;
        line.split_whitespace().last()
    };
    match (part("TORCH_VERSION_MAJOR"), part("TORCH_VERSION_MINOR"), part("TORCH_VERSION_PATCH")) {
        (Some(major), Some(minor), Some(patch)) => format!("{major}.{minor}.{patch}"),
        _ => "no libtorch, or another version".to_owned(),
    }
}

fn fail(message: &str) -> ! {
    println!("cargo:warning={message}");
    let _ = writeln!(std::io::stderr(), "{message}");
    std::process::exit(1)
}
