//! What programs that run the pipeline do first.

/// Keeps glibc from giving every thread a heap of its own: batches come and go with their threads, and what those heaps
/// keep would grow with the length of a video. To be called before any other thread is started.
pub fn few_arenas() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it only sets a number that later allocations look at.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}
