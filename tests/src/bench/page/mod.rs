//! What people wait for in the page.

mod upload;
mod view;
mod watch;

use super::Benchmark;

/// All there is of the page, in the order it is measured in.
pub(crate) const BENCHMARKS: [Benchmark; 4] = [
    Benchmark {
        name: "tus_upload",
        measure: upload::by_tus,
    },
    Benchmark {
        name: "page_view",
        measure: view::view,
    },
    Benchmark {
        name: "watch",
        measure: watch::plays,
    },
    Benchmark {
        name: "watch_jumps",
        measure: watch::jumps,
    },
];
