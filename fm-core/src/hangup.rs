//! SIGHUP, the signal of a terminal that closes. `nohup` starts programs that ignore it.
#![cfg_attr(
    unix,
    allow(unsafe_code, reason = "the standard library has no access to signals; the reasons stand beside")
)]

/// Whether this process ignores SIGHUP.
pub fn is_hangup_ignored() -> bool {
    #[cfg(unix)]
    {
        // SAFETY: all zeros are a `sigaction`, and the call only writes to it.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            libc::sigaction(libc::SIGHUP, std::ptr::null(), &raw mut action) == 0
                && action.sa_sigaction == libc::SIG_IGN
        }
    }
    #[cfg(not(unix))]
    false
}

/// Ignores SIGHUP from now on.
pub fn ignore_hangup() {
    #[cfg(unix)]
    // SAFETY: ignoring a signal runs no code of this process.
    unsafe {
        libc::signal(libc::SIGHUP, libc::SIG_IGN);
    }
}
